"""Everything that happens to a file, from its inbox to its folder. The root has what every package may use.

Imports go right: cli -> setup -> web, doctor -> service -> backup -> relocate -> retention -> alerts ->
worker -> requests -> spot_checks -> by_hand -> corrections -> export -> office -> thumbnails -> classifier
-> learning -> originals -> watch -> keywords -> companions -> nightly -> reports -> files -> settings.
"""
