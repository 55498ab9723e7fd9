"""The bugs planted in rules and stores. Owns what is changed, and why that breaks Raft.

A change is text in place of other text that occurs exactly once in the module, so a mutation that
no longer fits the code fails loudly instead of proving nothing.
"""

from __future__ import annotations

from tests.mutants.mutation import Mutation

MUTATIONS = (
    Mutation(
        "old-term-commit",
        "An entry of an earlier term is committed by counting and can still be overwritten "
        "(Raft paper, figure 8; PySyncObj 169, canonical/raft 336).",
        "core/leading.py",
        ((" and state.log.term_at(agreed) == state.term:", ":"),),
    ),
    Mutation(
        "vote-not-persisted",
        "A voter forgets its vote in a crash and votes again: two leaders in a term "
        "(PySyncObj 84).",
        "core/elections.py",
        (
            (
                "            state.vote = sender\n"
                "            state.durability.touch_hard_state()\n",
                "            state.vote = sender\n",
            ),
        ),
    ),
    Mutation(
        "term-not-persisted",
        "A node comes back in an earlier term and takes an old leader's entries.",
        "core/state.py",
        (
            (
                "        self.term = term\n"
                "        self.vote = None\n"
                "        self.durability.touch_hard_state()\n",
                "        self.term = term\n        self.vote = None\n",
            ),
        ),
    ),
    Mutation(
        "ack-before-fsync",
        "An entry is acknowledged that a power cut takes away (NATS 2.12.1, PySyncObj 84).",
        "core/durability.py",
        (
            (
                "        needed = self._seq + 1 if self._dirty else self._seq\n",
                "        needed = self._persisted\n",
            ),
        ),
    ),
    Mutation(
        "leader-counts-unsynced",
        "A leader counts itself for entries that its disk does not have yet.",
        "core/replication.py",
        (
            (
                "matches[self._config.node] = self._log.stable_index",
                "matches[self._config.node] = self._log.last_index",
            ),
        ),
    ),
    Mutation(
        "aba-release",
        "The end of a write of entries that were replaced meanwhile makes the new ones count as "
        "durable (etcd, async_storage_writes_append_aba_race).",
        "core/log.py",
        (
            (
                "        self.stable_index = self.handed_index\n",
                "        self.stable_index = self.handed_index = self.last_index\n",
            ),
        ),
    ),
    Mutation(
        "truncate-on-stale-append",
        "A late duplicate of an append removes entries that came after it (openraft 9540c904).",
        "core/following.py",
        (
            (
                "        known = self._known(append.entries)\n",
                "        known = 0\n",
            ),
            (
                "        if admitted and self._is_protected(admitted[0].index):\n",
                "        if admitted and False:\n",
            ),
        ),
    ),
    Mutation(
        "vote-counted-twice",
        "A duplicated answer counts as another voter's (PySyncObj counts messages).",
        "core/campaign.py",
        (
            (
                "            self._granted.add(voter)\n",
                "            self._granted.add(\n"
                "                voter\n"
                "                if voter not in self._granted\n"
                "                else min(self._membership.voting - self._granted, default=voter)\n"
                "            )\n",
            ),
        ),
    ),
    Mutation(
        "vote-for-shorter-log",
        "A candidate without committed entries is elected (Raft paper, 5.4.1).",
        "core/elections.py",
        (
            (
                "            and (request.last_term, request.last_index) >= "
                "(log.last_term, log.last_index)\n",
                "",
            ),
        ),
    ),
    Mutation(
        "step-down-forgets-vote",
        "A node that steps down within a term votes again in it (CCF 8094).",
        "core/roles.py",
        (
            (
                "        if term > state.term:\n            state.enter_term(term)\n",
                "        if term >= state.term:\n            state.enter_term(term)\n",
            ),
        ),
    ),
    Mutation(
        "no-fresh-leader-rule",
        "PreVote alone: whoever lost touch with a live leader deposes it, and leases do not hold "
        "(thesis, 4.2.3).",
        "core/elections.py",
        (
            (
                "        fresh = self._hears_leader and sender != self.heir\n",
                "        fresh = False\n",
            ),
        ),
    ),
    Mutation(
        "no-check-quorum",
        "A leader that can send and not receive leads for ever and commits nothing.",
        "core/leading.py",
        (("            if not self.replication.keeps_quorum():\n", "            if False:\n"),),
    ),
    Mutation(
        "no-disk-watchdog",
        "A leader whose disk hangs goes on sending heartbeats (hashicorp/raft 503).",
        "core/watchdog.py",
        (
            (
                "        return self._elapsed >= self._stall_ticks\n",
                "        return False\n",
            ),
        ),
    ),
    Mutation(
        "two-changes-at-once",
        "A second membership change begins before the first is committed.",
        "core/membership_change.py",
        (
            (
                "        if current.joint or state.memberships.index > state.commit_index:\n",
                "        if current.joint:\n",
            ),
            (
                "        if state.memberships.index > state.commit_index:\n"
                "            return\n"
                "        if membership.joint:\n",
                "        if membership.joint:\n",
            ),
        ),
    ),
    Mutation(
        "change-before-own-term",
        "A new leader changes the membership before it has committed anything in its term "
        "(the erratum of the thesis).",
        "core/membership_change.py",
        (
            (
                "        if not state.leads_safely:\n            raise",
                "        if False:\n            raise",
            ),
        ),
    ),
    Mutation(
        "joint-votes-by-new-half",
        "During a joint membership the new voters alone elect a leader.",
        "membership.py",
        (
            (
                "            sum(voter in nodes for voter in half) * 2 > len(half)\n"
                "            for half in (self.voters, self.outgoing)\n",
                "            sum(voter in nodes for voter in half) * 2 > len(half)\n"
                "            for half in (self.voters,)\n",
            ),
        ),
    ),
    Mutation(
        "joint-commits-by-new-half",
        "During a joint membership the new voters alone commit.",
        "membership.py",
        (
            (
                "_agreed(half, values) for half in (self.voters, self.outgoing) if half",
                "_agreed(half, values) for half in (self.voters,) if half",
            ),
        ),
    ),
    Mutation(
        "membership-not-rolled-back",
        "A truncated membership entry stays in force.",
        "core/following.py",
        (("            memberships.truncate(first.index)\n", ""),),
    ),
    Mutation(
        "joint-never-left",
        "Nobody ends a joint membership; the old voters can never be switched off.",
        "core/membership_change.py",
        (
            (
                "            self._create(EntryKind.MEMBERSHIP, membership.left().encode())\n",
                "            pass\n",
            ),
        ),
    ),
    Mutation(
        "learner-refuses-vote",
        "A voter that does not know of its promotion yet refuses: the group cannot elect "
        "(etcd, campaign_learner_must_vote).",
        "core/elections.py",
        (
            (
                "            not state.suspect\n            and (free",
                "            not state.suspect\n"
                "            and self._config.node in state.membership.voting\n"
                "            and (free",
            ),
        ),
    ),
    Mutation(
        "snapshot-over-newer-log",
        "A late snapshot takes committed entries away.",
        "core/installing.py",
        (
            (
                "        if snapshot.index <= state.commit_index:\n",
                "        if snapshot.index < 0:\n",
            ),
            (
                "        if state.log.matches(snapshot.index, snapshot.term, snapshot.hash):\n"
                "            follower.matched",
                "        if False:\n            follower.matched",
            ),
            (
                "        return not state.suspect and snapshot.index <= held\n",
                "        return False\n",
            ),
        ),
    ),
    Mutation(
        "snapshot-over-acknowledged",
        "A snapshot that arrives takes away entries that were acknowledged while it was written.",
        "core/installing.py",
        (
            (
                "        elif not self._holds(write.leader, write.snapshot):\n",
                "        elif write.snapshot.index > state.commit_index:\n",
            ),
        ),
    ),
    Mutation(
        "suspect-trusted-early",
        "A voter that lost its disk is trusted again by a leader that was deposed with a vote "
        "which the voter has forgotten.",
        "core/suspicion.py",
        (
            (
                "min(heartbeat.last_index + 1, NUMBER_MAX)",
                "min(heartbeat.last_index, NUMBER_MAX)",
            ),
        ),
    ),
    Mutation(
        "suspect-trusts-own-log",
        "A log that is older than the state declares its replaced entries committed.",
        "core/state.py",
        (
            (
                "            self.commit_index = max(base.index, applied_index)\n",
                "            pass\n"
                "        self.commit_index = max(\n"
                "            base.index, min(applied_index, self.log.last_index)\n"
                "        )\n",
            ),
        ),
    ),
    Mutation(
        "snapshot-unchecked",
        "A snapshot whose bytes do not match its checksum is installed.",
        "core/installing.py",
        (
            (
                "        if held < write.snapshot.size or not ok:\n",
                "        if held < write.snapshot.size:\n",
            ),
        ),
    ),
    Mutation(
        "commit-beyond-match",
        "A follower commits entries of its own that the leader does not have (databend 3914).",
        "core/following.py",
        (
            (
                "max(state.commit_index, min(commit, matched))",
                "max(state.commit_index, min(commit, self._log.last_index))",
            ),
        ),
    ),
    Mutation(
        "match-goes-back",
        "A late answer moves what a follower is known to hold backwards or anywhere "
        "(PySyncObj 167).",
        "core/progress.py",
        (
            (
                "        self.match = max(self.match, index)\n",
                "        self.match = index\n",
            ),
        ),
    ),
    Mutation(
        "window-of-lost-messages",
        "Appends that were lost stay in the window until nothing can be sent (etcd 14633).",
        "core/progress.py",
        (("        self.window.clear()\n        self.window_bytes = 0\n", ""),),
    ),
    Mutation(
        "read-unconfirmed",
        "A deposed leader answers reads from the past.",
        "core/reads.py",
        (
            (
                "        confirmed = membership.agreed({**self._acknowledged, node: self.round})\n",
                "        confirmed = self.round\n",
            ),
        ),
    ),
    Mutation(
        "read-before-own-term",
        "A new leader answers a read before it knows what is committed (etcd 7331).",
        "core/heartbeats.py",
        (
            (
                "        begun = state.leads_safely and reads.begin_round",
                "        begun = reads.begin_round",
            ),
        ),
    ),
    Mutation(
        "read-by-old-ack",
        "An answer to an earlier heartbeat confirms a later read (etcd 20418).",
        "core/reads.py",
        (
            (
                "            self._acknowledged[follower] = number\n",
                "            self._acknowledged[follower] = self.round\n",
            ),
        ),
    ),
    Mutation(
        "read-ticket-reused",
        "After a restart an answer to the earlier life's read is taken for a new one's.",
        "core/reads.py",
        (("        self._number = rng.randrange(1, 2**61)\n", "        self._number = 0\n"),),
    ),
    Mutation(
        "lease-after-pause",
        "A leader that was stopped longer than its lease answers from it.",
        "core/reads.py",
        (
            (
                "        return self._lease_allowed and now_ms < self._lease_until_ms\n",
                "        return self._lease_allowed and self._lease_until_ms > 0\n",
            ),
        ),
    ),
    Mutation(
        "lease-after-hand-over",
        "A leader answers from its lease although it has asked another to lead.",
        "core/leadership_transfer.py",
        (("        self._heartbeats.reads.void_lease()\n", ""),),
    ),
    Mutation(
        "suspect-votes",
        "A voter whose disk lost its vote or its entries votes.",
        "core/elections.py",
        (("            not state.suspect\n            and (free", "            (free"),),
    ),
    Mutation(
        "suspect-counts",
        "What a voter with a damaged disk stores again makes a quorum at once.",
        "core/following.py",
        (
            (
                "state.term, status, index, counted=not state.suspect,",
                "state.term, status, index, counted=True,",
            ),
        ),
    ),
    Mutation(
        "liar-unseats-leader",
        "Any member may campaign against a live leader by calling itself its heir.",
        "core/elections.py",
        (
            (
                "        fresh = self._hears_leader and sender != self.heir\n",
                "        fresh = self._hears_leader and request.pre\n",
            ),
        ),
    ),
    Mutation(
        "late-answer-of-a-dead-process",
        "What a follower acknowledged before its disk was lost makes what it stores now count.",
        "core/replication.py",
        (("        if life < peer.life:\n            return False\n", ""),),
    ),
    Mutation(
        "log-not-synced",
        "The log's commit is left to the operating system (PySyncObj 84).",
        "stores/sqlite_file.py",
        (('    "synchronous=FULL",\n', '    "synchronous=OFF",\n'),),
    ),
    Mutation(
        "marker-not-synced",
        "The marker is left to the operating system.",
        "stores/marker.py",
        (("            os.fdatasync(self._descriptor)\n", "            pass\n"),),
    ),
    Mutation(
        "record-unchecked",
        "A record whose checksum fails is used.",
        "stores/frames.py",
        (
            (
                "            if zlib.crc32(record) != self._crcs[place]:\n",
                "            if False:\n",
            ),
        ),
    ),
    Mutation(
        "damage-not-suspect",
        "A damaged log is cut there, and the node votes on.",
        "stores/recovery.py",
        (("        or found.damaged\n", ""),),
    ),
    Mutation(
        "lost-end-not-noticed",
        "A log that is shorter than what was promised is taken for whole.",
        "stores/recovery.py",
        (
            (
                "        or not (found.replaced or _holds(base, positions, promises))\n",
                "",
            ),
        ),
    ),
    Mutation(
        "hard-state-of-an-older-file",
        "Term and vote go back when the file does.",
        "stores/recovery.py",
        (("    hard_state = later(stored, promises.hard_state)\n", "    hard_state = stored\n"),),
    ),
    Mutation(
        "failed-sync-retried",
        "After a failed sync the store goes on (ATC 2020).",
        "stores/sqlite_file.py",
        (("        self._failed = True\n", "        pass\n"),),
    ),
    Mutation(
        "heir-of-an-earlier-leader",
        "A new leader names the heir of the one before for its whole term: who does not hear it "
        "deposes it.",
        "core/elections.py",
        (
            (
                "        self.heir = None  # whom",
                "        pass  # whom",
            ),
        ),
    ),
    Mutation(
        "late-answer-unseats",
        "A late answer of a higher term makes a voter forget the leader that it hears.",
        "core/elections.py",
        (
            (
                "        if campaign is None or not campaign.asks(sender):\n",
                "        if response.term > state.term:\n"
                "            self._transitions.become_follower(response.term, None)\n"
                "        if campaign is None or not campaign.asks(sender):\n",
            ),
        ),
    ),
    Mutation(
        "fresh-again-at-a-timeout",
        "A voter that may not campaign takes a dead leader for fresh at each timeout of its own.",
        "core/elections.py",
        (
            (
                "            self._timeout = self.elapsed + self._draw_timeout()\n",
                "            self.reset_timeout()\n",
            ),
        ),
    ),
    Mutation(
        "term-on-one-word",
        "Who claims to lead is believed in any term: one liar moves the term of all.",
        "core/following.py",
        (
            (
                " and not elections.terms.is_supported(term, state.membership):\n",
                " and False:\n",
            ),
        ),
    ),
    Mutation(
        "own-term-supports-itself",
        "A liar lifts one voter step by step, and both together all others.",
        "core/terms.py",
        (
            (
                "        others = membership.voting - {self._config.node}\n",
                "        others = membership.voting\n",
            ),
            (
                "    def supported(self, membership: Membership) -> Term:\n",
                "    def supported(self, membership: Membership) -> Term:\n"
                "        highest = max(self._claims.values(), default=Term(0))\n"
                "        self._claims[self._config.node] = highest\n",
            ),
        ),
    ),
    Mutation(
        "terms-are-not-asked-for",
        "Who is behind never learns a term that enough voters hold.",
        "core/elections.py",
        (
            (
                "        if self.terms.wait(sender, message, self._state.membership):\n",
                "        if self.terms.wait(sender, message, self._state.membership) and False:\n",
            ),
        ),
    ),
    Mutation(
        "heartbeat-of-another-life",
        "What was said before a loss tells the suspect from where on it is trusted again.",
        "core/suspicion.py",
        ((" and heartbeat.life == self.life:\n", ":\n"),),
    ),
    Mutation(
        "match-of-an-earlier-life",
        "What an earlier life acknowledged counts although its disk may be older: the follower is "
        "never served from where its log ends.",
        "core/progress.py",
        (
            (
                "        acknowledged, self.match = self.match, LogIndex(0)\n",
                "        acknowledged = self.match\n",
            ),
        ),
    ),
    Mutation(
        "receipt-without-a-seal",
        "A lying leader puts honest voters out of action with receipts that it made up.",
        "core/suspicion.py",
        (("        return self._sealer.made(receipt, state.term)\n", "        return True\n"),),
    ),
    Mutation(
        "receipt-is-ignored",
        "A member with an older copy of its files votes as if it had lost nothing.",
        "core/suspicion.py",
        (
            (
                "        if heartbeat.held is not None and self._forgot(heartbeat.held):\n",
                "        if False:\n",
            ),
        ),
    ),
    Mutation(
        "held-without-bound",
        "What waits for a hung disk grows with each message of a peer.",
        "core/durability.py",
        (
            (
                "        before = held.pop(kind, None)\n",
                "        before = None\n        kind = (to, key + 100 * len(held))\n",
            ),
        ),
    ),
    Mutation(
        "reads-without-shares",
        "One member uses up the reads of all.",
        "core/reads.py",
        (("            share = max(1, share // max(1, askers))\n", "            share = share\n"),),
    ),
    Mutation(
        "favours-without-pace",
        "A follower that begins life after life fills the leader's log.",
        "core/replication.py",
        (
            (
                "        self._favour_ticks = self._config.election_ticks\n        return True\n",
                "        return True\n",
            ),
        ),
    ),
    Mutation(
        "transfer-forgotten-by-who-leaves",
        "A leader that is removed while it hands over lets another one lead.",
        "core/membership_change.py",
        (
            (
                "            if self._transfer.heir in membership.voters:\n",
                "            if False:\n",
            ),
        ),
    ),
)
