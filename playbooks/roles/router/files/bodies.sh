# Run the HAProxy that reads large bodies, with the configuration $1, as a program of the router's master.
#
# A program inherits the master's open files: a former master socket among them would keep the clients of that socket waiting
# for ever. 255 is bash's own.
for file in /proc/self/fd/*; do
  file=${file##*/}
  [ "$file" -le 2 ] || [ "$file" -eq 255 ] || eval "exec $file>&-"
done

# Without its master it ends: nobody would end it later.
/usr/bin/setpriv --pdeathsig TERM /usr/sbin/haproxy -f "$1" &
child=$!
trap 'kill -TERM $child' TERM INT
# The master reloads: it has started the successor already, but that one takes a moment until it listens.
trap 'sleep 2; kill -USR1 $child' USR1
while kill -0 $child 2>/dev/null; do
  wait $child
  code=$?
done
exit $code
