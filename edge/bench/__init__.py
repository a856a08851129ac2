"""`limpid bench`: what the daemon adds to the engine, measured over real sockets between real processes.

    sender    a process of its own: open loop, so that a stall of the daemon never slows it (no coordinated omission)
    daemon    `limpid live`, as it is shipped
    bare      the peer: the smallest script that receives, runs the same engine and sends
    here      the receiver, and the sums

Daemon and bare script are measured in turn, several times in one run, so that the machine's moods fall on both.
"""
