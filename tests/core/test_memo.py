"""One memo per call."""

import threading

import numpy as np

from lipop.core.memo import forget, memo, remember


def counter():
    calls = []

    def make():
        calls.append(None)
        return len(calls)

    return calls, make


def test_without_a_memo_every_call_makes_its_own():
    calls, make = counter()
    assert [remember("k", make), remember("k", make)] == [1, 2]
    forget()
    assert len(calls) == 2


def test_inside_a_memo_a_key_is_made_once():
    calls, make = counter()
    with memo():
        assert [remember("a", make), remember("b", make), remember("a", make)] == [1, 2, 1]
    with memo():
        assert remember("a", make) == 3
    assert len(calls) == 3


def test_nested_memos_share_the_outermost():
    _, make = counter()
    with memo():
        remember("a", make)
        with memo():
            assert remember("a", make) == 1
        assert remember("a", make) == 1


def test_forget_drops_all_but_numbers():
    with memo():
        for key, value in {
            "number": 1.5,
            "numbers": (1.0, 2),
            "array": np.zeros(2),
            "mixed": (1.0, np.zeros(2)),
        }.items():
            remember(key, lambda: value)  # noqa: B023
        forget()
        assert [remember(key, lambda: "new") for key in ("number", "numbers")] == [1.5, (1.0, 2)]
        assert [remember(key, lambda: "new") for key in ("array", "mixed")] == ["new", "new"]


def test_it_is_dropped_after_an_error():
    _, make = counter()
    try:
        with memo():
            remember("a", make)
            raise RuntimeError
    except RuntimeError:
        pass
    assert remember("a", make) == 2


def test_values_none_are_remembered():
    calls = []
    with memo():
        for _ in range(3):
            remember("k", lambda: calls.append(1))
    assert len(calls) == 1


def test_threads_do_not_share():
    _, make = counter()
    seen = []
    with memo():
        remember("a", make)
        thread = threading.Thread(target=lambda: seen.append(remember("a", make)))
        thread.start()
        thread.join()
    assert seen == [2]
