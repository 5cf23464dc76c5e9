import sig

with sig.Router() as router:

    @router.on("freezer", "temperature")
    def log(info, data):
        print("log:", data)

    @router.on("freezer", "temperature")
    def warn(info, data):
        if data > -18:
            print("too warm!")

    @router.on(None, "door")
    def doors(info, data):
        print(f"the door of {info.sender} is {data}")

    counter = router.listen(lambda info, data: print("one more"), "freezer", "temperature")

    freezer = router.add_sender("freezer", events=["temperature", "door"])
    freezer.trigger("temperature", -21.4)
    freezer.trigger("door", "open")
    counter.close()
    freezer.trigger("temperature", -17.2)
