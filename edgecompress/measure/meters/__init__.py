"""Board -> Meter, or why there is none. One module a kind of instrument: `find(board) -> Meter | str`.

A target's `meters` lists which modules to try, in order. `find` reads, and changes nothing; it returns a reason for a
board that lacks the instrument or keeps it from this user, and raises only when the board is lost.
"""
