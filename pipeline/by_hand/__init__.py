"""Take up what people do by hand in `sorted`: files moved, renamed, deleted, added or edited.

Nothing is moved or deleted here; rows follow the files.
Imports `classifier`, `companions`, `corrections`, `files`, `originals`, `settings`, `watch`, `db`, `models`
and the root of `pipeline`.
"""
