"""A group: each event goes to exactly one member. With a queue each member works in a thread of the pool."""

from threading import Lock

import sig

done = {"ann": [], "bob": []}
lock = Lock()


def worker(name):
    def work(info, data):
        with lock:
            done[name].append(data)

    return work


with sig.Router() as router:
    for name in done:
        router.listen(worker(name), "shop", "order", group="packers", queue=100)
    router.listen(lambda info, data: print("new order", data), "shop", "order")  # no member: hears every one

    shop = router.add_sender("shop", events=["order"])
    for number in range(1, 7):
        shop.trigger("order", number)

# `with` has closed the router, after the queues were empty.
print("packed:", sorted(done["ann"] + done["bob"]))
print("each by one member:", not set(done["ann"]) & set(done["bob"]))
