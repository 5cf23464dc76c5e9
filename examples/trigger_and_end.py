"""The shortest useful program: say one thing and end. `$SIG_URL` names the server."""

import sig

cron = sig.connect().add_sender("cron/backup", events="done")
cron.trigger("done", {"files": 812})  # the end of the program waits a second for it to leave
