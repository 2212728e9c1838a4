# Run the HAProxy that reads large bodies, with the configuration $1, as a program of the router's master.
#
# A program inherits the master's open files: a former master socket among them would keep the clients of that socket waiting
# for ever. 255 is bash's own.
for file in /proc/self/fd/*; do
  file=${file##*/}
  [ "$file" -le 2 ] || [ "$file" -eq 255 ] || eval "exec $file>&-"
done

ended=
trap 'ended=yes; kill -TERM $child' TERM INT
# The master reloads: it has started the successor already, but that one takes a moment until it listens.
trap 'ended=yes; sleep 2; kill -USR1 $child' USR1

# The master ends the router where a program of it ends, so a failure is made up for here.
while [ -z "$ended" ]; do
  # Where memory runs out, the kernel ends it before a replica: it starts again in a second. Without this shell it ends: nobody
  # would end it later.
  { echo 1000 >/proc/self/oom_score_adj; exec /usr/bin/setpriv --pdeathsig TERM /usr/sbin/haproxy -f "$1"; } &
  child=$!
  while kill -0 $child 2>/dev/null; do wait $child; done
  [ -n "$ended" ] || sleep 1
done
