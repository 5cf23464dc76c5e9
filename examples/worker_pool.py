"""Workers in other processes share the jobs: each goes to one of them. Here they are clients of one program."""

import threading

import sig

finished = threading.Semaphore(0)
done = {}


def worker(name, client):
    def work(info, number):
        client.request("office", "hand_in", [number, number * number])
        done[number] = name
        finished.release()

    # With queue=1 a worker has one job before it at most; the others wait at the server for whoever is idle.
    client.listen(work, "office", "job", group="workers", queue=1)


results = {}


def hand_in(result):
    number, square = result
    results[number] = square


with sig.serve("tcp://127.0.0.1:0") as server:
    url = server.urls[0]
    with sig.connect(url) as ann, sig.connect(url, codec="msgpack") as bob:
        worker("ann", ann)
        worker("bob", bob)
        worker("server", server)  # a member like any other

        office = server.add_sender("office", events=["job"], requests=[hand_in])
        for number in range(30):
            office.trigger("job", number)
        for _ in range(30):
            finished.acquire()

print("squares:", [results[number] for number in range(6)], "...")
print("each by one worker:", sorted(done) == list(range(30)))
print("all of them worked:", sorted(set(done.values())))
