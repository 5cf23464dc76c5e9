import sig

router = sig.Router()


def show(info, data):
    print(info.sender, info.event, data)


router.listen(show, "freezer", "temperature")

freezer = router.add_sender("freezer", events=["temperature", "door"])
freezer.trigger("temperature", -21.4)
freezer.trigger("temperature", -20.9)

router.close()
