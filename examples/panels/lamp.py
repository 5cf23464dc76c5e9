"""A lamp that burns while there is an alarm."""

import sig


@sig.on(event="#alarm")
def burn(info, data):
    print("lamp: on,", info.sender, "says", data)
