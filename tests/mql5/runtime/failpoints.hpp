// Places at which a test lets the process die, as if it were killed there.
//
// Option `die_at=PLACE:N`: the N-th time that PLACE is passed, counted from 1 and from the start of
// the process, it gets SIGKILL. Places: `OrderSend.before` (the broker knows nothing), `OrderSend.sent` (the broker has
// the request), `OrderSend.after` (the answer is there, the program has not seen it), the same
// three of `OrderSendAsync`, and `Database.before` and `Database.after` of each statement that
// writes (COMMIT too), `Commit.before` and `Commit.after` of each COMMIT.
#pragma once

namespace mql::runtime {

void failpoint(const char *place);

}  // namespace mql::runtime
