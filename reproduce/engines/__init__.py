"""Engines run jobs: where and how many at once. What a job does is the business of `reproduce.worker`."""
