"""Compiled recurrences for CPUs (`csrc/`, C++ with a plain C interface), and their thin binding.

`library` finds and loads them, `build` compiles them, `recurrence` calls them on tensors after looking at every size.
Nothing above has to know whether they are there: `unroll.choose` asks.
"""
