import sig

with sig.Router() as router:
    freezer = router.add_sender("freezer", events=["temperature"])

    try:
        freezer.trigger("temprature", -21.4)
    except sig.UnknownEvent as error:
        print(error)

    try:
        router.add_sender("freezer", events=["temperature"])
    except sig.SenderAlreadyConnected as error:
        print(error)

    def broken(info, data):
        return data / 0

    router.on_error = lambda failed: print("a listener failed:", failed.error)
    router.listen(broken, "freezer", "temperature")
    router.listen(lambda info, data: print("the next one still hears", data), "freezer", "temperature")
    freezer.trigger("temperature", -21.4)
