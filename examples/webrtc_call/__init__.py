"""A real call: two WebRTC peers on loopback, a gateway between them, a lifecycle that says when the audio may start.

Read ``gateway.py`` first: it is the part that a user of phasebus would write. ``outside.py`` is the rest of the world
(a phone, the telephone provider, a speech model), which knows nothing of phasebus. ``docs/webrtc.md`` tells the story.

    python -m examples.webrtc_call [--record FILE] [--json] [--frames N]
"""
