"""`sig demo`: a server, two sender processes with real data of this machine, and a listener that shows it all.

run.py        sets the stage and tells how it went
play.py       the acts, in order
children.py   processes that never outlive this one
scribble.py   makes the changes that there are to see
repeat.py     what is done again and again
tally.py      counts what the listener hears
view.py       shows it while it goes on
summary.py    and when it is over
sender.py     what the two senders have in common: metrics.py, files.py
"""
