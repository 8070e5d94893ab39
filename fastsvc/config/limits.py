"""(lowest, highest) value of fields that many configurations share: nothing beyond could run, or ever existed."""

RATES_HZ = (1_000, 768_000)  # of networks' audio; for recordings: arguments.RATE_HZ
SIZES = (1, 2**14)  # channels
LAYERS = (1, 512)
STEPS = (1, 1_000)  # of a sampler
F0_HZ = (10, 20_000)
CROPS, FRAMES = (1, 65_536), (1, 1_000_000)  # of a batch, and of one of its crops
SHARE = (0, 1)
FUTURE_FRAMES = (0, 2**14)  # that a network may read beyond its own frame
NAMES = (1, 2**16)  # speakers, phones: rows of a table
INDEX_VECTORS, INDEX_LISTS = (1, 2**20), (1, 2**16)  # RVC clusters more than 200,000 vectors to 10,000
