"""``bridge demo``: everything at once, on one machine, with proof at the end.

``source``    the ticks that will be sent, and the digests that must arrive
``stage``     relay as a child process, link that can be cut, terminal
``terminals`` the simulated terminal
``expert``    the Expert Advisor, executed from its source
``audience``  subscribers that write down what they get
``scenario``  the steps, and what must have held after them
``report``    the claims, for people and as JSON
``command``   the command itself
"""
