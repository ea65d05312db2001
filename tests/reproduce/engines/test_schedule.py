from reproduce.engines.jobs import Job
from reproduce.engines.schedule import Schedule


def job(key, *after, estimate=1.0):
    return Job(key, "kind", key, {}, after, estimate)


def drain(schedule):
    """Run everything that can be run, one at a time; the order."""
    order = []
    while (job := schedule.pop()) is not None:
        order.append(job.key)
        schedule.finish(job.key)
    return order


def test_longest_ready_job_first_and_ties_in_order_of_arrival():
    schedule = Schedule()
    schedule.add([job("short"), job("a", estimate=5.0), job("long", estimate=9.0), job("b", estimate=5.0)])
    assert drain(schedule) == ["long", "a", "b", "short"]


def test_dependencies_come_first_however_long_their_followers_are():
    schedule = Schedule()
    schedule.add(
        [job("end", "left", "right", estimate=99.0), job("left", "start"), job("right", "start"), job("start")]
    )
    assert drain(schedule) == ["start", "left", "right", "end"]


def test_jobs_may_follow_finished_ones():
    schedule = Schedule()
    schedule.add([job("a")])
    drain(schedule)
    new, skipped = schedule.add([job("b", "a")])
    assert [j.key for j in new] == ["b"]
    assert not skipped
    assert drain(schedule) == ["b"]


def test_known_keys_are_the_same_job():
    schedule = Schedule()
    schedule.add([job("a"), job("a", estimate=7.0)])
    new, _ = schedule.add([job("a")])
    assert not new
    assert drain(schedule) == ["a"]


def test_a_repeated_dependency_is_one():
    schedule = Schedule()
    schedule.add([job("b", "a", "a"), job("a")])
    assert drain(schedule) == ["a", "b"]


def test_failure_skips_all_that_comes_after_once_and_nothing_else():
    schedule = Schedule()
    schedule.add([job("a"), job("b", "a"), job("c", "a", "b"), job("d", "c", "other"), job("other")])
    assert schedule.pop().key == "a"
    assert [j.key for j in schedule.fail("a")] == ["b", "c", "d"]
    assert drain(schedule) == ["other"]
    assert (schedule.done, schedule.failed, schedule.skipped) == (["other"], ["a"], ["b", "c", "d"])
    assert schedule.left() == []


def test_jobs_added_after_the_failure_of_their_dependency_are_skipped_at_once():
    schedule = Schedule()
    schedule.add([job("a")])
    schedule.pop()
    schedule.fail("a")
    new, skipped = schedule.add([job("b", "a"), job("c", "b")])
    assert [j.key for j in new] == [j.key for j in skipped] == ["b", "c"]
    assert schedule.pop() is None


def test_stuck_names_an_unknown_dependency():
    schedule = Schedule()
    schedule.add([job("b", "nobody"), job("c", "b")])
    stuck, reason = schedule.stuck()
    assert stuck.key == "b"
    assert "nobody" in reason
    assert [j.key for j in schedule.fail("b")] == ["c"]
    assert schedule.stuck() is None


def test_stuck_names_a_circle_and_not_what_waits_for_it():
    schedule = Schedule()
    schedule.add([job("tail", "x"), job("x", "y"), job("y", "z"), job("z", "x")])
    stuck, reason = schedule.stuck()
    assert stuck.key == "x"
    assert "x after y after z after x" in reason


def test_a_job_that_comes_after_itself():
    schedule = Schedule()
    schedule.add([job("x", "x")])
    stuck, reason = schedule.stuck()
    assert (stuck.key, reason) == ("x", "it comes after itself: x after x")
    assert schedule.fail("x") == []
    assert schedule.stuck() is None


def test_what_waits_for_an_interrupted_job_is_left_and_not_stuck():
    schedule = Schedule()
    schedule.add([job("a"), job("b", "a"), job("c", "b")])
    schedule.pop()
    schedule.leave("a")
    assert schedule.stuck() is None
    assert schedule.left() == ["a", "b", "c"]


def test_a_job_that_is_put_back_is_ready_again_and_done_once():
    schedule = Schedule()
    schedule.add([job("b", "a"), job("a")])
    schedule.put_back(schedule.pop().key)
    assert schedule.has_ready
    assert drain(schedule) == ["a", "b"]
