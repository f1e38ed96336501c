"""Make and run classifiers. The root has pure helpers; knows no database and no inbox.

learning -> training -> evaluation -> inference, data -> networks -> bundle -> images; nothing of `pipeline`
or `db`.
The folders `cats_dogs` and `cifar10` are bundles; `imagenet` has the labels of a bundle made at first use.
"""
