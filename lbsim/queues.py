"""The lists a dispatcher keeps its requests in.

A request (more exactly a *ticket*, one copy of a request) is in at most one list at a time,
so all lists share three arrays of links. A list is a number; its ends are in `first` and
`last`. Two kinds of order are kept:

- plain lists: ascending `serial`. New requests have the largest serial and are appended in
  O(1); requests that come back after a failure have small ones and are put in near the front;
- ranked lists: ascending (`rank`, `serial`). What comes in order, as nearly everything does where
  few requests have a rank of their own, is appended to a plain list in O(1); what does not goes
  to a pairing heap beside it (Fredman, Sedgewick, Sleator and Tarjan, Algorithmica 1986): O(1)
  push, O(log n) amortised removal of any element. The front is the first of the two.

Plain functions on arrays, so that Numba compiles them unchanged.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["IN_ORDER", "NONE", "Queues", "before", "front", "make_queues", "push", "remove"]

NONE = -1
IN_ORDER = -2  # `child` of a ticket that is not in its list's heap


class Queues(NamedTuple):
    """Links of all lists.

    Attributes
    ----------
    first, last : ndarray of int64, shape (n_lists,)
        Ends of each list; for a ranked list, of what came in order.
    root : ndarray of int64, shape (n_lists,)
        The root of each list's heap.
    next, previous, child : ndarray of int64, shape (n_tickets,)
        Links of each ticket; `child` is used by ranked lists only.
    serial : ndarray of int64, shape (n_tickets,)
        Order of arrival.
    rank : ndarray of float64, shape (n_tickets,)
        The policy's order; all zero where it has none.
    """

    first: np.ndarray
    last: np.ndarray
    root: np.ndarray
    next: np.ndarray
    previous: np.ndarray
    child: np.ndarray
    serial: np.ndarray
    rank: np.ndarray


def make_queues(n_lists: int, n_tickets: int, ranked: bool) -> Queues:
    """Return `n_lists` empty lists for tickets 0 to ``n_tickets - 1``.

    A ticket's links are written when it is put into a list, and not read before.
    """
    spare = n_tickets if ranked else 0
    return Queues(
        first=np.full(n_lists, NONE, np.int64),
        last=np.full(n_lists, NONE, np.int64),
        root=np.full(n_lists, NONE, np.int64),
        next=np.empty(n_tickets, np.int64),
        previous=np.empty(n_tickets, np.int64),
        child=np.empty(spare, np.int64),
        serial=np.zeros(n_tickets, np.int64),
        rank=np.zeros(spare, np.float64),
    )


def before(q: Queues, a: int, b: int, ranked: bool) -> bool:
    """Say whether ticket `a` is served before ticket `b`."""
    if ranked and q.rank[a] != q.rank[b]:
        return q.rank[a] < q.rank[b]
    return q.serial[a] < q.serial[b]


def front(q: Queues, line: int) -> int:
    """Return the ticket at the front of a list, or NONE."""
    ticket = q.first[line]
    root = q.root[line]
    if root != NONE and (ticket == NONE or before(q, root, ticket, True)):
        return root
    return ticket


def push(q: Queues, line: int, ticket: int, ranked: bool) -> None:
    """Put a ticket where its rank and serial say."""
    after = q.last[line]
    if ranked:
        if after == NONE or before(q, after, ticket, True):
            q.child[ticket] = IN_ORDER
            append(q, line, ticket)
        else:
            q.next[ticket] = NONE
            q.previous[ticket] = NONE
            q.child[ticket] = NONE
            q.root[line] = _meld(q, q.root[line], ticket)
        return
    if after != NONE and q.serial[ticket] < q.serial[after]:
        # A request that comes back: its place is near the front, so walk from there.
        after = NONE
        following = q.first[line]
        while q.serial[following] < q.serial[ticket]:
            after = following
            following = q.next[following]
    else:
        following = NONE
    _link(q, line, after, ticket)
    _link(q, line, ticket, following)


def append(q: Queues, line: int, ticket: int) -> None:
    """Put a ticket at the end of a list whose order is the order of appending."""
    before_it = q.last[line]  # two `_link`, written out: for the live master calls are dear
    if before_it == NONE:
        q.first[line] = ticket
    else:
        q.next[before_it] = ticket
    q.previous[ticket] = before_it
    q.next[ticket] = NONE
    q.last[line] = ticket


def remove(q: Queues, line: int, ticket: int, ranked: bool) -> None:
    """Take a ticket out of the list it is in."""
    if not ranked or q.child[ticket] == IN_ORDER:
        before_it = q.previous[ticket]
        after_it = q.next[ticket]
        if before_it == NONE:
            q.first[line] = after_it
        else:
            q.next[before_it] = after_it
        if after_it == NONE:
            q.last[line] = before_it
        else:
            q.previous[after_it] = before_it
        return
    rest = _merge_children(q, ticket)
    if q.root[line] == ticket:
        q.root[line] = rest
        return
    _cut(q, ticket)
    q.root[line] = _meld(q, q.root[line], rest)


def _link(q: Queues, line: int, left: int, right: int) -> None:
    """Make `right` follow `left`; NONE stands for the end of the list on that side."""
    if left == NONE:
        q.first[line] = right
    else:
        q.next[left] = right
    if right == NONE:
        q.last[line] = left
    else:
        q.previous[right] = left


def _meld(q: Queues, a: int, b: int) -> int:
    """Join two heaps (roots, or NONE) and return the new root."""
    if a == NONE:
        return b
    if b == NONE:
        return a
    if before(q, b, a, True):
        a, b = b, a
    q.next[b] = q.child[a]
    if q.child[a] != NONE:
        q.previous[q.child[a]] = b
    q.previous[b] = a  # of a first child, `previous` is the parent
    q.child[a] = b
    return a


def _cut(q: Queues, ticket: int) -> None:
    """Separate a ticket that is not the root from its parent and siblings."""
    left = q.previous[ticket]
    right = q.next[ticket]
    if q.child[left] == ticket:
        q.child[left] = right
    else:
        q.next[left] = right
    if right != NONE:
        q.previous[right] = left
    q.next[ticket] = NONE
    q.previous[ticket] = NONE


def _merge_children(q: Queues, ticket: int) -> int:
    """Join the children of a ticket into one heap: in pairs, then from the last pair back."""
    node = q.child[ticket]
    q.child[ticket] = NONE
    pairs = NONE
    while node != NONE:
        first = node
        second = q.next[first]
        node = NONE
        q.next[first] = NONE
        q.previous[first] = NONE
        if second != NONE:
            node = q.next[second]
            q.next[second] = NONE
            q.previous[second] = NONE
        pair = _meld(q, first, second)
        q.next[pair] = pairs  # a stack of pairs, linked through `next`
        pairs = pair
    root = NONE
    while pairs != NONE:
        following = q.next[pairs]
        q.next[pairs] = NONE
        root = _meld(q, root, pairs)
        pairs = following
    return root
