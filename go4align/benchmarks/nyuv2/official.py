"""What NYUv2's originals leave to other files: which images train, and how 894 raw labels become 13 classes.

The split is splits.mat of the NYU toolbox (Silberman et al., ECCV 2012). The classes are those of Couprie et al. (ICLR
2013), through the 40 of Gupta et al. (CVPR 2013): classMapping40.mat, then class13Mapping.mat.
"""

import numpy as np
from numpy.typing import NDArray

IMAGES = 1449
RAW_LABELS = 894

_TRAIN = """
3-8 10-13 19-20 22-27 44-45 48-55 58 64-75 80-83 92-116 120-124 130 135-136 138-152 156-166 170 177-179 203-206
213-219 223-249 251-263 265-270 274-278 286-295 303-309 313-314 318-324 336-350 353-354 365-383 391-394 398-410
415-429 436-440 449-461 467-468 478-507 514 527-530 534-536 540-548 552-554 572-578 584-590 595-602 608-611
614-616 622-632 639-643 646-649 652-655 659-662 665-667 674-675 682-685 691-692 695-696 700-705 714-716 719-723
729-730 735-742 745-758 788-799 805-809 815-820 824-832 847-849 853-856 863-868 872-905 909-916 920-925 929-931
936-944 948-958 963-964 968-969 978-990 996-1000 1005-1009 1013-1020 1024-1031 1035-1037 1040-1047 1050-1051
1054-1056 1059-1074 1085-1087 1097 1105 1110-1116 1120-1122 1132-1134 1137-1143 1159-1161 1168-1169 1172-1173
1177-1178 1185-1191 1197-1200 1213-1215 1221-1225 1231-1232 1236-1246 1251-1253 1266-1274 1281-1284 1296
1300-1301 1309-1313 1316-1328 1333-1334 1341-1346 1350-1352 1357-1363 1366-1367 1370-1383 1392-1393 1402-1406
1415-1420 1425-1429 1434-1440
"""
"""Numbers of the 795 images to train on, counted from 1; the other 654 are for tests."""

_OBJECTS = 7
_FURNITURE = """
3 7 12 17 42 43 48 50 87 88 106 111 158 161 163 169 174 183 204 214 219 221 224 236 262 278 291 298 313 343 344
356 359 373 393 401 414 418 419 430 443 444 447 448 457 458 460 462 475 479 485 486 493 494 498 499 509 510 515
521 524 540 549 551 554 556 558 576 580 608 625 703 734 770 772 797 800 803 804 813 814 815 820 829 835 858 863
882 892
"""
_CLASS_OF = {
    1: (157,),
    2: (85,),
    3: (4,),
    4: (5,),
    5: (11, 143),
    6: tuple(map(int, _FURNITURE.split())),
    8: (64,),
    9: (83,),
    10: (19, 36),
    11: (172,),
    12: (21, 28),
    13: (59, 80, 89),
}
"""Raw labels of each class, both counted from 1; the 789 others are objects."""


def split(name: str) -> NDArray[np.int64]:
    """Places of the images of "train" or "test", counted from 0."""
    ends = [found.split("-") for found in _TRAIN.split()]
    train = np.concatenate([np.arange(int(end[0]), int(end[-1]) + 1) for end in ends]) - 1
    return train if name == "train" else np.setdiff1d(np.arange(IMAGES), train)


def classes_of_raw() -> NDArray[np.int8]:
    """[895]: the class of each raw label, 0 to 12; -1 for 0, which is no label."""
    found = np.full(RAW_LABELS + 1, _OBJECTS - 1, np.int8)
    found[0] = -1
    for number, raw in _CLASS_OF.items():
        found[list(raw)] = number - 1
    return found
