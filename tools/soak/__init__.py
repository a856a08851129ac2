"""The whole appliance at real time for hours: `python -m tools.soak --minutes 120 --report DIR --json`.

A phantom scanner, `limpid run` with live, forward and console, an archive that goes away and returns, heat that goes up
and down, captures in turn, and a subscriber that accounts for every frame. Each is a process of its own.

    __main__.py   the command, and the loop that does what is due
    house.py      the processes, and the archive
    eye.py        the subscriber: a process that accounts for each frame
    button.py     captures, and what became of them
    gauge.py      memory, descriptors and processor time of each process; trends
    log.py        what the appliance said: heat, restarts, faults
    report.py     the sums, the verdicts, JSON, Markdown and a picture
"""
