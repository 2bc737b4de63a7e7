"""System chaos: pairs of real daemons under load, faults drawn from a seed, a judge that looks on.

plan.py says what is done to a pair and when, from the seed alone; lane.py has one pair and carries its
plan out (faults.py does the single fault, cable.py and relay.py are the cable between the two, faults.c
the daemon's clock and disk); load.py opens, moves and ends sessions; judge.py keeps the ledger and the
rules; table.py prints what came of it. The entry is ../chaos.py.
"""
