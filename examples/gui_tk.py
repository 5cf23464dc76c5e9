"""A window of Tk that shows the states of a plant as they come: `gui_tk.py [URL]`."""

import sys
import tkinter

import sig
import sig.gui

root = tkinter.Tk()
root.title("plant")
rows = {}
gui = sig.gui.tk(root)


def shown():
    return {sender: row["text"] for sender, row in rows.items()}


with sig.connect(*sys.argv[1:]) as client:

    @client.on("plant/**", "state", executor=gui)
    def show(info, data):  # on the window's thread: it may do with the window what it likes
        if info.sender not in rows:
            rows[info.sender] = tkinter.Label(root, font=("", 20))
            rows[info.sender].pack()
        rows[info.sender]["text"] = f"{info.sender} {data}"

    # Requests are answered on threads of their own. They send to the window what is the window's.
    client.add_sender(
        "display",
        requests={
            "shown": lambda params: gui.submit(shown).result(),
            "close": lambda params: gui.submit(root.destroy) and None,
        },
    )
    root.mainloop()
