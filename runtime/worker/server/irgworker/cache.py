"""The prefix cache: the keys and values of contexts that were read before."""

from collections import OrderedDict


class PrefixCache:
    """Keeps the newest entries up to a number of bytes. Used by one thread.

    An entry is never modified, so one found here gives the very tensors that
    reading the prefix again would.
    """

    def __init__(self, limit):
        self.limit = limit
        self.size = 0
        self._entries = OrderedDict()  # key -> (entry, bytes)

    def get(self, key):
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key, entry, size):
        if key in self._entries or size > self.limit:
            return
        self._entries[key] = (entry, size)
        self.size += size
        while self.size > self.limit:
            _, (_, freed) = self._entries.popitem(last=False)
            self.size -= freed

    def __len__(self):
        return len(self._entries)
