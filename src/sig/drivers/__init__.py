"""The only code that knows sockets, threads, loops and clocks. Drivers move bytes and time; they decide nothing."""
