"""The commands of ``phasebus``, a module for each: its options and its help, a call of the library, what it prints.

``cli.py`` gathers them. What several of them need is in :mod:`.arguments`, :mod:`.problems`, :mod:`.terminal` and
:mod:`.files`. ``phasebus --help`` imports every command's module, so at its top such a module imports click and these;
what is heavy is imported by the function that needs it.
"""
