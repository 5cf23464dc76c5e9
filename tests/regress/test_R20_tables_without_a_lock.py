"""R20. Senders and listeners were kept in plain dicts used from many threads."""

from __future__ import annotations

import sys
import threading

import sig


def test_threads_that_come_and_go_do_not_disturb_each_other() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    failed: list[BaseException] = []
    try:
        with sig.Router() as router:

            def come_and_go(place: int) -> None:
                try:
                    for _ in range(50):
                        with (
                            router.add_sender(f"s{place}", "e") as sender,
                            router.listen(lambda info, data: None, "**", None),
                        ):
                            sender.trigger("e", place)
                            router.senders()
                except BaseException as error:
                    failed.append(error)

            threads = [threading.Thread(target=come_and_go, args=(place,)) for place in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert router.senders() == []
    finally:
        sys.setswitchinterval(before)
    assert failed == []
