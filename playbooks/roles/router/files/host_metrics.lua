-- Serves what the watch of this host writes: figures, of some kilobytes, and sums of keys. The variable txn.host_metrics names
-- the file.
core.register_service("host_metrics", "http", function(applet)
    local text
    local file = io.open(applet:get_var("txn.host_metrics"), "r")
    if file then
        text = file:read(4194304)
        file:close()
    end
    -- No file: the watch has not written it yet.
    applet:set_status(text and 200 or 503)
    text = text or ""
    applet:add_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
    applet:add_header("content-length", tostring(#text))
    applet:start_response()
    applet:send(text)
end)
