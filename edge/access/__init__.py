"""Who may connect: CURVE keys of the appliance and its clients, the list of those who are let in, and the guard of it.

curve.py     key pairs and the files they lie in
register.py  which client may do what: a folder, one file a client
homes.py     where a configuration keeps all of this, and which addresses need it
doors.py     a bound socket that opens to the enrolled alone, and can be closed on everyone and opened again
guard.py     answers every caller at every door; a thread of its own
"""
