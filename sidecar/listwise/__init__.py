"""Stage two: a generator that reads many passages at once puts the top of a ranking in order (RankGPT, DeAR, FIRST).

Importing this package loads neither torch nor an HTTP client.
"""
