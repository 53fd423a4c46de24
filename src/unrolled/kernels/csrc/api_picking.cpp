// The bookkeeping of a step of a beam search: which of all candidates go on. A few dozen numbers, of which each operation
// of an array library would take microseconds. Nothing is checked: `picking.py` has looked at every size.
#include "api_picking.h"

#include <cmath>

#include "api_leading.h"

namespace {

constexpr double NEVER = -INFINITY;

// The best continuations of a source's rows, as many as there is room for; of equals the first. Returns how many there
// are, or -1 where a row's candidates are no numbers.
int64_t pick(const Picking& p, int64_t source) {
  int64_t room = p.room[source] < p.width ? p.room[source] : p.width, found = 0;
  int64_t* rows = p.picked_rows + source * p.width;
  int64_t* tokens = p.picked_tokens + source * p.width;
  double* log_p = p.picked_log_p + source * p.width;
  for (int64_t k = 0; k < p.width; k++) rows[k] = p.starts[source], tokens[k] = 0, log_p[k] = NEVER;
  for (int64_t row = p.starts[source]; row < p.starts[source + 1]; row++) {
    if (!(p.log_p[row] > NEVER)) continue;
    const double* best = p.best + row * p.count;
    if (std::isnan(best[0])) return -1;
    for (int64_t k = 0; k < p.count; k++) {
      double total = p.log_p[row] + (best[k] < 0 ? best[k] : 0.0);
      if (found == room && (!room || !(total > log_p[room - 1]))) break;  // those behind it are no better
      if (!(total > NEVER)) break;
      int64_t at = found < room ? found++ : room - 1;
      for (; at > 0 && total > log_p[at - 1]; at--) {
        rows[at] = rows[at - 1], tokens[at] = tokens[at - 1], log_p[at] = log_p[at - 1];
      }
      rows[at] = row, tokens[at] = p.tokens[row * p.count + k], log_p[at] = total;
    }
  }
  return found;
}

}  // namespace

// How many continuations are picked, where the next step's rows are written, too; else -1: then a row's candidates are no
// numbers, or nothing may follow it, a continuation ends, or a source has more of them than rows.
EXPORT int64_t unrolled_pick(const Picking* p) {
  bool plain = true;
  int64_t total = 0;
  for (int64_t source = 0; source < p->sources; source++) {
    int64_t found = pick(*p, source), from = p->starts[source], to = p->starts[source + 1], at = source * p->width;
    total += found;
    plain = plain && found >= 0 && found <= to - from;
    for (int64_t row = from; plain && row < to; row++) {
      plain = !(p->log_p[row] > NEVER) || p->best[row * p->count] > NEVER;
      if (row - from < found) {
        int64_t k = at + row - from;
        plain = plain && p->picked_tokens[k] != p->end;
        p->next_rows[row] = p->picked_rows[k], p->next_tokens[row] = p->picked_tokens[k];
        p->next_log_p[row] = p->picked_log_p[k];
      } else {  // an empty row: any will do
        p->next_rows[row] = row, p->next_tokens[row] = p->end, p->next_log_p[row] = NEVER;
      }
    }
  }
  return plain ? total : -1;
}

// The same of the likeliest words of logits, whose places are the candidates' tokens; their log-probabilities are written.
EXPORT int64_t unrolled_pick_of(const Leading* logits, const Picking* p, int64_t threads) {
  unrolled_leading(logits, threads);
  for (int64_t row = 0; row < logits->rows; row++) {
    for (int64_t k = row * p->count; k < (row + 1) * p->count; k++) p->best[k] = logits->best[k] - logits->norms[row];
  }
  return unrolled_pick(p);
}
