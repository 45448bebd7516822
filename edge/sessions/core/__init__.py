"""The tables of sessions as pure machines: no loop, no clock, no database. Rows become code, one to one.

`cabinet` holds tables A, B and C, `settlement` table S, `gate` table G, `watch` table W, `money` table M, `recovery`
table R, `staff` the presence of people. `draft` gathers what one atomic step appends, stores and does.
"""
