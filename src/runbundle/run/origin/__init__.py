"""Where a run comes from: the code, the packages, the machine, the command; and what is kept of them to make it again.

``git`` asks git, ``code`` says which commit it is and what differs from it, ``newfiles`` which files are new,
``evidence`` puts what a run keeps into its ``provenance/``; ``provenance`` tells of packages and machine,
``invocation`` of the command.
"""
