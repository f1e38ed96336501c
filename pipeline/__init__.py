"""Everything that happens to a file, from its inbox to its folder. The root has what every package may use.

Each package imports only packages further right: cli -> setup -> web, doctor -> worker -> spot_checks ->
by_hand -> corrections -> export -> office -> thumbnails -> classifier -> learning -> originals -> watch ->
keywords -> companions -> reports -> files -> settings. `models` and `db` import nothing of `pipeline`.
"""
