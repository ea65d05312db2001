import pytest

from reproduce.engines.eta import RemainingTime, duration
from reproduce.engines.jobs import Job


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def jobs(count, kind="train", estimate=10.0):
    return [Job(f"{kind}{i}", kind, "", {}, (), estimate) for i in range(count)]


def test_before_anything_is_measured_the_estimates_count(clock):
    remaining = RemainingTime(2, clock)
    for job in jobs(4):
        remaining.add(job)
    assert remaining.seconds() == pytest.approx(4 * 10 / 2)


def test_nothing_takes_no_time(clock):
    assert RemainingTime(2, clock).seconds() == 0.0
    assert RemainingTime(2, clock).share_done() == 0.0


def test_a_finished_job_corrects_its_own_kind_and_kinds_without_any(clock):
    remaining = RemainingTime(1, clock)
    first, second = jobs(2, "train")
    (other,) = jobs(1, "measure")
    (unmeasured,) = jobs(1, "draw")
    for job in (first, second, other, unmeasured):
        remaining.add(job)
    remaining.end(first, 30.0)  # three times the estimate
    assert remaining.seconds() == pytest.approx(3 * (10 + 10 + 10))
    remaining.end(other, 5.0)  # half the estimate; over both kinds (30 + 5) / 20
    assert remaining.seconds() == pytest.approx(30 + 10 * 35 / 20)


def test_a_running_job_is_projected_from_its_own_pace(clock):
    remaining = RemainingTime(1, clock)
    running, waiting = jobs(2)
    remaining.add(running)
    remaining.add(waiting)
    remaining.start(running)
    clock.now += 20.0
    remaining.advance(running, 0.25)  # 80 s in all
    assert remaining.seconds() == pytest.approx(60 + 80)
    assert remaining.share_done() == pytest.approx(20 / 160)


def test_the_longest_job_bounds_from_below(clock):
    remaining = RemainingTime(4, clock)
    (long,) = jobs(1, "long", estimate=100.0)
    for job in (long, *jobs(2)):
        remaining.add(job)
    assert remaining.seconds() == pytest.approx(100.0)


def test_a_job_over_its_estimate_does_not_count_negatively(clock):
    remaining = RemainingTime(1, clock)
    (job,) = jobs(1)
    remaining.add(job)
    remaining.start(job)
    clock.now += 25.0
    assert remaining.seconds() == 0.0


def test_failed_jobs_leave_the_sum_and_measure_nothing(clock):
    remaining = RemainingTime(1, clock)
    first, second = jobs(2)
    remaining.add(first)
    remaining.add(second)
    remaining.end(first)
    assert remaining.seconds() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (9.96, "10 s"), (99.4, "99 s"), (100.0, "2 min"), (3569, "59 min"), (3571, "1 h 00 min")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
