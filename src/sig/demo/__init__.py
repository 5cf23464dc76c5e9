"""`sig demo`: a server, two sender processes with real data of this machine, and a listener that shows it all."""
