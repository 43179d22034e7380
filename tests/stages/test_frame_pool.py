import threading
import time

import pytest

from fewphoton.stages.frame_pool import map_in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order_whatever_takes_longest(threads):
    def work(worker, item):
        time.sleep(0.003 if item % 3 == 0 else 0)
        return item * item

    assert list(map_in_order(range(40), object, work, threads)) == [n * n for n in range(40)]


def test_no_worker_serves_two_threads_at_once():
    busy, made, clashes = set(), [], []

    def make_worker():
        made.append(len(made))
        return made[-1]

    def work(worker, item):
        if worker in busy:
            clashes.append(item)
        busy.add(worker)
        time.sleep(0.001)
        busy.discard(worker)

    list(map_in_order(range(60), make_worker, work, 3))
    assert made == [0, 1, 2]
    assert not clashes


def test_items_are_taken_in_the_calling_thread_and_only_a_few_ahead():
    here, taken, yielded = threading.get_ident(), [], 0

    def items():
        for number in range(200):
            assert threading.get_ident() == here
            taken.append(number)
            yield number

    for _ in map_in_order(items(), object, lambda worker, item: item, 2):
        yielded += 1
        assert len(taken) - yielded <= 2 * 2 + 1
    assert yielded == 200


def test_an_error_stands_where_its_result_would_and_ends_the_rest():
    done = []

    def work(worker, item):
        if item == 5:
            raise ValueError("five")
        done.append(item)
        return item

    results = map_in_order(range(1000), object, work, 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert max(done) < 20


def test_an_error_in_the_items_is_raised_and_threads_end():
    def items():
        yield 1
        raise OSError("source is gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="source is gone"):
        list(map_in_order(items(), object, lambda worker, item: item, 2))
    assert threading.active_count() == before


def test_leaving_early_ends_the_threads():
    before = threading.active_count()
    results = map_in_order(range(1000), object, lambda worker, item: item, 3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_nothing_to_do():
    assert list(map_in_order([], object, lambda worker, item: item, 2)) == []
