"""A long computation that tells how far it is, and ends when nobody waits for it any more."""

from threading import Event

import sig

ended = Event()


def primes(params):
    """A handler that is a generator: each `yield` is a part, `return` is the result."""
    below, found = params["below"], 0
    try:
        for number in range(2, below + 1):
            found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
            if not number % 2000:
                yield {"done": number, "total": below, "found": found}
        return found
    finally:
        ended.set()


with sig.serve("tcp://127.0.0.1:0") as server:
    server.add_sender("computer", requests=[primes])
    with sig.connect(server.urls[0]) as client:
        with client.stream("computer", "primes", {"below": 10_000}) as parts:
            for part in parts:
                print(f"{100 * part['done'] // part['total']:3} %: {part['found']} primes")
            print("all of them:", parts.result)

        ended.clear()
        with client.stream("computer", "primes", {"below": 1_000_000_000}) as parts:
            for part in parts:
                print(f"after {part['done']}: that takes too long")
                break
        ended.wait()
        print("and so it has ended")
