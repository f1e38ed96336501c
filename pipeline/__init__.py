"""Everything that happens to a file, from its inbox to its folder. The root has what every package may use.

Each imports only packages further right: cli -> setup -> web, doctor -> service -> alerts -> worker ->
spot_checks -> by_hand -> corrections -> export -> office -> thumbnails -> classifier -> learning ->
originals -> watch -> keywords -> companions -> reports -> files -> settings.
"""
