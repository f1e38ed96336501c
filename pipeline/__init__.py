"""Everything that happens to a file, from its inbox to its folder. The root has what every package may use.

Imports go right: cli -> backfill -> setup -> web, doctor -> service -> backup -> relocate -> retention ->
alerts -> worker -> spot_checks -> by_hand -> corrections -> export -> office -> thumbnails -> classifier ->
learning -> originals -> watch -> keywords -> companions -> nightly -> reports -> files -> settings.
"""
