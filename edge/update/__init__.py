"""Updates of the application: from a signed bundle to a version of its own, tried in use, kept or taken back.

    bundle.py     a version as one signed file; target.py: which machines it is for
    store.py      what may become current, and the way back; disk.py: how versions lie side by side, one link turned
    install.py    from a bundle's files to a version's own virtual environment; tree.py: out of an archive, safely
    selfcheck.py  whether a staged version starts here, with this site's configuration
    processes.py  how the appliance's processes are started again: systemd, or `limpid run`
    trial.py      pure: whether a version holds in its first minutes
    settling.py   switch, restart, watch, keep or go back; also after a power cut in the middle of it

Runs in commands and in a process of its own (`limpid update settle`), beside the appliance's processes, never in one.
The version that runs a trial is the one before, or the last that held: a broken version cannot judge itself.
"""
