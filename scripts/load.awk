# Passes oha's text on, and closes with what came back, by status: only 2xx counts. Exit code 1 if
# anything else came, or nothing.

# "Success" is any answer to oha, a 503 too.
{ sub(/Success rate:/, "Answered, with any status:"); print }

/^[A-Z]/ { section = $0 }
$1 == "Requests/sec:" { rate = $2 }
# "  [200] 31591 responses": the status, then how many.
section ~ /^Status code distribution/ && /^ *\[/ {
  answers += $2
  status = substr($1, 2, 3)
  if (status ~ /^2/) good += $2
  else others = others ", " grouped($2) " × " status
}
# "  [3] connection refused": how many, then the reason. What oha itself broke off is no failure.
section ~ /^Error distribution/ && /^ *\[/ {
  count = substr($1, 2) + 0
  sub(/^ *\[[0-9]+\] */, "")
  all += count
  if ($0 != "aborted due to deadline") others = others ", " grouped(count) " × no answer (" $0 ")"
}

END {
  all += answers
  # oha's rate is of everything it began.
  text = sprintf("%s of %s answers were 2xx", grouped(good), grouped(answers))
  if (good) text = text sprintf(" (%s/s)", grouped(int(rate * good / all + 0.5)))
  if (answers && answers == good && !others) {
    print "load: " text
    exit 0
  }
  fflush()
  if (others) text = text ": " substr(others, 3)
  print "load: error: " text | "cat >&2"
  print "  make ps                 which containers are up, and healthy" | "cat >&2"
  print "  make logs SERVICE=api   what they say" | "cat >&2"
  close("cat >&2")
  exit 1
}

# 31591 as 31,591.
function grouped(number, text) {
  text = sprintf("%d", number)
  while (text ~ /^[0-9][0-9][0-9][0-9]/) sub(/[0-9][0-9][0-9](,|$)/, ",&", text)
  return text
}
