"""Scenarios: a broker, a terminal, a link that can be cut, the real relay, a client.

``modes``      what a terminal may do where MQL5's reference is silent
``audience``   a client that writes down what it gets
``wire_log``   what a recorded link says, without clocks, nonces and tags
``scripted``   a relay that says what the test wants
``virtual``    the relay's side on the virtual clock
``malformed``  what a hostile relay says
``world``      everything of one scenario, with the Python terminal in it
``expert``     the EA in its place
``steps``      the scenarios; ``steps_ea``: of what only an EA has
``coverage``   which lines of mql5/ were executed (``make ea-coverage``)
``__main__``   all scenarios in all modes (``make test-ea``)
"""
