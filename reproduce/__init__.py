"""reproduce: the figures, tables and claims of large-batch papers, from their own runs."""
