"""Scenarios: a broker, a terminal, a link that can be cut, the real relay, a client.

``modes``      what a terminal may do where MQL5's reference is silent
``audience``   a client that writes down what it gets
``wire_log``   what a recorded link says, without clocks, nonces and tags
``world``      everything of one scenario, with the EA or with the Python terminal in it
``steps``      the scenarios
``__main__``   all scenarios in all modes (``make test-ea``)
"""
