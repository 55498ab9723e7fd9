"""`piaolian bench`: measures a local cluster the way an outside client sees it."""
