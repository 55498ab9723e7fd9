"""The bugs planted in the driver and its parts, and in what time and late answers touch.

Owns what is changed in which module, and what an embedder or a cluster would see of it.
"""

from __future__ import annotations

from tests.mutants.mutation import Mutation

RUNTIME = (
    # --- Time, late answers and leases ---------------------------------------------------------
    Mutation(
        "grant-keeps-the-timer",
        "Who has just voted campaigns against the winner (Raft paper, 5.2).",
        "core/elections.py",
        (("                self.elapsed = 0\n", "                pass\n"),),
    ),
    Mutation(
        "own-vote-before-durable",
        "A candidate counts a vote for itself that a power cut takes back.",
        "core/elections.py",
        (
            (
                "        if pre:  # a pre-vote promises nothing; a vote for itself counts when "
                "it is durable\n            self.campaign",
                "        if True:\n            self.campaign",
            ),
        ),
    ),
    Mutation(
        "heir-outlives-its-leader",
        "A new leader names the heir of the last one for its whole term: with one link cut, that "
        "one deposes it, and leases do not hold.",
        "core/elections.py",
        (("        self.heir = None  #", "        pass  #"),),
        aimed=True,
    ),
    Mutation(
        "late-vote-forgets-the-leader",
        "A late answer of a higher term makes a voter forget a live leader.",
        "core/elections.py",
        (
            (
                "        if campaign is None or not campaign.asks(sender):\n",
                "        if campaign is None or not campaign.asks(sender):\n"
                "            if response.term > state.term:\n"
                "                self._transitions.become_follower(response.term, None)\n",
            ),
        ),
        aimed=True,
    ),
    Mutation(
        "ticks-of-before-a-heartbeat",
        "Time that passed before a heartbeat counts after it: a live leader is forgotten, and "
        "leases do not hold.",
        "driver/turns.py",
        (("            self._pass_time(core, 1)\n", ""),),
        aimed=True,
    ),
    Mutation(
        "flood-stops-the-time",
        "No tick while there is mail: a flooded leader neither beats nor steps down.",
        "driver/turns.py",
        (
            ("            self._pass_time(core, 1)\n", ""),
            (
                "            if self._time_read:\n",
                "            if self._time_read and not self._inbox:\n",
            ),
        ),
    ),
    Mutation(
        "flood-costs-the-others",
        "Who floods takes the place of the others' messages.",
        "driver/inbox.py",
        (
            (
                "            self._drop(max(self._queues, key=lambda node: "
                "len(self._queues[node].mail)))\n",
                "            self._drop(sender)\n",
            ),
        ),
    ),
    # --- The driver and its end ----------------------------------------------------------------
    Mutation(
        "turn-swallows-cancellation",
        "A hook that lets a cancellation out leaves half a turn done, and the node goes on.",
        "driver/turns.py",
        (("        except BaseException as error:\n", "        except Exception as error:\n"),),
    ),
    Mutation(
        "task-ends-in-silence",
        "A task that was cancelled is gone; the node goes on leading and applies nothing.",
        "driver/lifetime.py",
        (("        if self.running:\n", "        if self.running and not task.cancelled():\n"),),
    ),
    Mutation(
        "failure-tells-nobody",
        "The node fails, and whoever waits for a proposal waits for ever.",
        "driver/node.py",
        (("        self._proposals.abandon()\n", ""),),
    ),
    Mutation(
        "failure-leaves-reads",
        "The node fails, and whoever waits for a read waits for ever.",
        "driver/node.py",
        (("        self._reads.abandon()\n", ""),),
    ),
    Mutation(
        "failed-node-works-on",
        "After a failure the tasks go on: entries are applied and written whose promises are void.",
        "driver/lifetime.py",
        (("        for task in self._tasks:\n            task.cancel()\n", ""),),
    ),
    Mutation(
        "cancelled-stop-leads-on",
        "Who has no patience for the hand-over leaves a node that leads.",
        "driver/node.py",
        (
            (
                "        finally:\n            self._lifetime.end()\n",
                "        except NotLeaderError:\n            pass\n        self._lifetime.end()\n",
            ),
        ),
    ),
    Mutation(
        "stopped-while-starting-runs",
        "A node that was stopped while it loaded runs after that.",
        "driver/node.py",
        (("        self._lifetime.may_run()\n", ""),),
    ),
    Mutation(
        "timeout-names-another-entry",
        "Who waits in vain is told the place of somebody else's entry.",
        "driver/node.py",
        (
            (
                "Unknown(UnknownReason.TIMEOUT, index, term)",
                "Unknown(\n"
                "            UnknownReason.TIMEOUT, self._running_core().log.last_index, term\n"
                "        )",
            ),
        ),
    ),
    # --- The stores ----------------------------------------------------------------------------
    Mutation(
        "done-before-written",
        "A write is reported when it begins.",
        "driver/storing.py",
        (
            (
                "                await self._append(write)\n"
                "                self._report(partial(core.on_persisted, write.seq))\n",
                "                self._report(partial(core.on_persisted, write.seq))\n"
                "                await self._append(write)\n",
            ),
        ),
    ),
    Mutation(
        "part-before-its-term",
        "A snapshot is complete on a disk that does not know its term.",
        "core/installing.py",
        (
            (
                "        if self._incoming.waits and self._state.durability.hard_state_durable:\n",
                "        if self._incoming.waits:\n",
            ),
        ),
    ),
    Mutation(
        "part-unchecked",
        "What the store says of a complete snapshot is not listened to.",
        "driver/storing.py",
        (
            (
                "            ok = await self._snapshots.complete(write.snapshot)\n",
                "            await self._snapshots.complete(write.snapshot)\n",
            ),
        ),
    ),
    Mutation(
        "no-turn-after-a-log-read",
        "Entries for a slow follower lie until something else happens.",
        "driver/storing.py",
        (
            (
                "            self._report(partial(core.on_read, read, entries))\n",
                "            core.on_read(read, entries)\n",
            ),
        ),
    ),
    Mutation(
        "late-answer-after-the-end",
        "A store that ends a cancelled call changes a node that was stopped.",
        "driver/storing.py",
        (
            (
                "        if not self._halted:\n            tell()\n            self._wake()\n",
                "        tell()\n        self._wake()\n",
            ),
        ),
    ),
    Mutation(
        "two-calls-of-a-store",
        "The state is restored by calls that run beside those of the other task.",
        "driver/applying.py",
        (
            (
                "            part = await self._storing.read_part(snapshot, offset, size)\n",
                "            assert self._snapshots is not None\n"
                "            part = await self._snapshots.read_chunk(snapshot, offset, size)\n",
            ),
        ),
    ),
    # --- The state machine ---------------------------------------------------------------------
    Mutation(
        "applied-before-it-is",
        "A read is served, and a state captured, while its entry is being applied.",
        "driver/applying.py",
        (
            (
                "            results = await self._applier.apply(entries)\n",
                "            self.applied = entries[-1].index\n"
                "            self._reads.applied(self.applied)\n"
                "            results = await self._applier.apply(entries)\n",
            ),
        ),
    ),
    Mutation(
        "capture-during-apply",
        "A snapshot shows half a call, or another place than it names.",
        "driver/applying.py",
        (
            (
                "            async with self._quiet:\n                index = self._place(core)\n",
                "            if True:\n                index = self._place(core)\n",
            ),
        ),
    ),
    Mutation(
        "applies-what-was-reset",
        "Entries that were read before the log was reset are applied after it.",
        "driver/applying.py",
        (
            (
                "            if core.restore is not None:\n                return  # "
                "the log was reset "
                "meanwhile\n",
                "",
            ),
        ),
    ),
    Mutation(
        "snapshot-of-a-suspect",
        "A node whose log does not know what was applied names a snapshot after it.",
        "driver/applying.py",
        (
            (
                "        return index if core.log.base.index <= index <= "
                "core.durable_commit_index else "
                "None\n",
                "        return index\n",
            ),
        ),
    ),
    Mutation(
        "restored-twice",
        "The core is not told that its snapshot was restored.",
        "driver/applying.py",
        (("        core.restored(snapshot)\n", ""),),
    ),
    Mutation(
        "results-of-others",
        "Everybody in a call gets the first one's result.",
        "driver/waiting.py",
        (("else results[place]", "else results[0]"),),
    ),
    Mutation(
        "capture-held-for-ever",
        "Who asks for a snapshot is not told when there is nothing to do.",
        "driver/applying.py",
        (
            (
                "                if not future.done():\n                    "
                "future.set_result(snapshot)\n",
                "                if not future.done() and snapshot is not None:\n"
                "                    future.set_result(snapshot)\n",
            ),
        ),
    ),
    # --- Who waits -----------------------------------------------------------------------------
    Mutation(
        "committed-for-another",
        "A client is told that its entry is committed, and another leader's is.",
        "driver/waiting.py",
        (("            if term == entry.term:\n", "            if True:\n"),),
    ),
    Mutation(
        "passed-by-a-snapshot",
        "Whoever waits for a place that a snapshot has passed waits for ever.",
        "driver/applying.py",
        (("        self._proposals.passed(snapshot.index)\n", ""),),
    ),
    Mutation(
        "second-proposal-at-a-place",
        "Whoever waited for that place before waits for ever.",
        "driver/waiting.py",
        (
            (
                "            self._settle(before, Unknown(UnknownReason.REPLACED, "
                "index, before[0]))\n",
                "            pass\n",
            ),
        ),
    ),
    Mutation(
        "read-before-applied",
        "A read is served at an index that the state has not reached.",
        "driver/waiting.py",
        (("            elif answer.index <= applied:\n", "            elif True:\n"),),
    ),
    Mutation(
        "failed-read-served",
        "A read that nobody confirmed is served.",
        "driver/waiting.py",
        (
            (
                '                future.set_exception(ReadError("leadership changed '
                'or was not confirmed"))\n',
                "                future.set_result(applied)\n",
            ),
        ),
    ),
    Mutation(
        "change-told-before-commit",
        "An operator is told of new members whose entry may yet be lost.",
        "driver/waiting.py",
        (
            (
                "not index <= core.membership_index <= core.commit_index:",
                "not index <= core.membership_index:",
            ),
        ),
    ),
    Mutation(
        "change-of-another-term",
        "An operator is told of a change that another leader replaced.",
        "driver/waiting.py",
        (
            (
                "        if core.role is not Role.LEADER or core.term != term:\n",
                "        if core.role is not Role.LEADER:\n",
            ),
            (
                "        if core.log.base.index < index and core.log.term_at(index) != term:\n",
                "        if False:\n",
            ),
        ),
    ),
)
