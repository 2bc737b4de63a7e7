-- ipsp.lua - the IP Pool Sharing Protocol for Wireshark and tshark: what docs/protocol.md describes.
--
--   tshark -X lua_script:ipsp.lua -o ipsp.key_log:/var/lib/capture/keys -r FILE -V
--   or put it into the folder of personal Lua plugins (Help, About, Folders)
--
-- Headers and handshakes are always shown. What is sealed is shown with the key log that both sides, or
-- one of them, wrote meanwhile ("ipspd -k FILE"): without authentication too, as the keys of a session are
-- its own. The Poly1305 tag is not checked: "opened" means that what came out is well-formed.

local ipsp = Proto("ipsp", "IP Pool Sharing Protocol")

ipsp.prefs.port = Pref.uint("UDP port", 4187, "The port of the pair")
ipsp.prefs.key_log = Pref.string("Key log", "", "The file that ipspd -k writes")

-- ---------------------------------------------------------------- fields

local f = {}

local function field(kind, name, title, ...)
	f[name] = ProtoField[kind]("ipsp." .. name, title, ...)
end

local KINDS = { [1] = "SHAKE", [2] = "SEALED" }
local MESSAGES = { [1] = "HELLO", [2] = "CONF_ASK", [3] = "CONF_PART", [4] = "REQUEST", [5] = "REFUSE", [6] = "ITEM",
	[7] = "ACK", [8] = "TAKEOVER", [9] = "CANCEL", [10] = "RENEW" }
local ITEMS = { [1] = "GIVE", [2] = "REPORT", [3] = "DROP", [4] = "DROPPED" }
local FORMS = { [1] = "RUNS", [2] = "BITS", [3] = "KEPT", [4] = "WHO" }
local SELECTS = { [0] = "any public pool", [1] = "pool", [2] = "group of the pool" }
local USES = { [2] = "hold", [3] = "quarantine" }
local REFUSALS = { [1] = "asked in another epoch", [2] = "an answer follows" }
local POOL_TYPES = { [0] = "public", [1] = "private", [2] = "static" }
local FLAGS = { "primary", "role", "agreed_primary", "licence", "shared", "conf_primary", "draining", "terminated", "loan",
	"same", "check", "goodbye", "lost", "yield", "reported", "mismatch", "bye_loan", "grounded", "left" }

field("bytes", "magic", "Magic")
field("uint8", "version", "Version of header, handshake and sealing")
field("uint8", "kind", "Kind", base.DEC, KINDS)
field("uint32", "session", "Tag of the session", base.HEX)
field("uint64", "sequence", "Sequence number")
field("uint64", "speaks", "Highest version that the sender speaks")
field("bytes", "nonce", "Nonce")
field("bytes", "public", "Ephemeral public key")
field("bytes", "echo", "Echo")
field("bytes", "key_id", "Key id")
field("string", "fingerprint", "Fingerprint of the key")
field("bytes", "mac", "MAC")
field("bytes", "sealed", "Sealed messages")
field("bytes", "tag", "Poly1305 tag, not checked")
field("uint8", "message", "Message", base.DEC, MESSAGES)
field("uint16", "length", "Length")
field("bytes", "rest", "Of a later version")

field("uint8", "hello.version_min", "Lowest version of the messages")
field("uint8", "hello.version_max", "Highest version")
field("uint32", "hello.capabilities", "Capabilities", base.HEX)
field("bool", "hello.capability.skips", "SKIPS", 32, nil, 0x1)
field("bool", "hello.capability.disk_full", "DISK_FULL", 32, nil, 0x2)
field("bool", "hello.capability.renews", "RENEWS", 32, nil, 0x4)
field("string", "hello.version", "Program")
field("uint32", "hello.flags", "Flags", base.HEX)
for bit, name in ipairs(FLAGS) do
	field("bool", "hello.flag." .. name, name:upper(), 32, nil, 2 ^ (bit - 1))
end
for _, name in ipairs({ "books", "peer_books" }) do
	field("uint64", "hello." .. name, name, base.HEX)
end
for _, name in ipairs({ "epoch", "agreed_epoch", "sent", "applied", "known", "report" }) do
	field("uint64", "hello." .. name, name)
end
for _, name in ipairs({ "number", "heard", "promised", "dead_ms", "peer_dead_ms", "hello_ms", "request_timeout_ms",
	"release_timeout_ms", "used", "spare" }) do
	field("uint32", "hello." .. name, name)
end
field("bytes", "hello.digest", "digest")

field("uint32", "conf.offset", "Offset")
field("uint32", "conf.total", "Total")
field("uint16", "conf.n", "Bytes of this part")
field("bytes", "conf.bytes", "Definitions")
field("uint8", "conf.format", "Format")
field("uint16", "conf.pools", "Number of pools")
field("string", "conf.pool.name", "Pool")
field("string", "conf.pool.group", "Group")
field("uint8", "conf.pool.type", "Type", base.DEC, POOL_TYPES)
field("uint8", "conf.pool.priority", "Priority")
field("ipv6", "conf.pool.first", "First address")
field("uint32", "conf.pool.size", "Size")
field("uint8", "conf.pool.shift", "Shift")
field("uint8", "conf.pool.entry", "Prefix length of one entry")
field("uint8", "conf.pool.mask", "Mask length as written")
field("uint32", "conf.pool.hold", "Hold timer, s")
field("uint32", "conf.pool.quarantine", "Quarantine timer, s")
field("uint8", "conf.pool.busyout", "Busyout")

field("uint64", "request.id", "Request", base.HEX)
field("uint64", "request.epoch", "Epoch")
field("uint8", "request.select", "Select", base.DEC, SELECTS)
field("uint16", "request.pool", "Pool")
field("uint16", "request.at_pool", "Pool of the address asked for (65535: any will do)")
field("uint32", "request.at_index", "Index of the address asked for")
field("uint32", "request.count", "Count")
field("string", "request.subscriber", "Subscriber")
field("string", "request.session", "Session")
field("int32", "refuse.error", "Error", base.DEC, REFUSALS)

field("uint8", "renew.flags", "Flags", base.HEX)
field("bool", "renew.has", "HAS", 8, nil, 0x1)
field("bytes", "renew.public", "Half of the exchange")

field("uint32", "stream", "Stream", base.HEX)
field("uint64", "ack.number", "Acknowledged up to")
field("uint64", "item.number", "Item")
field("uint8", "item.type", "Type", base.DEC, ITEMS)
field("uint8", "item.flags", "Flags", base.HEX)
field("bool", "item.flag.first", "FIRST", 8, nil, 0x1)
field("bool", "item.flag.end", "END", 8, nil, 0x1)
field("uint64", "item.request", "Answers request", base.HEX)
field("uint16", "item.pool", "Pool")
field("uint8", "item.form", "Form of the set", base.DEC, FORMS)
field("uint16", "item.bytes", "Bytes of the set")
field("bytes", "item.set", "Set")
field("uint32", "set.start", "Start")
field("uint32", "set.count", "Count")
field("uint16", "set.n", "Bytes of bits")
field("bytes", "set.bits", "Bits")
field("uint32", "set.index", "Index")
field("uint8", "set.use", "Use", base.DEC, USES)
field("uint32", "set.left", "Seconds left")
field("string", "set.subscriber", "Subscriber")

for _, one in pairs(f) do
	table.insert(ipsp.fields, one)
end

local problems = {
	short = ProtoExpert.new("ipsp.short", "Not as long as its kind", expert.group.MALFORMED, expert.severity.ERROR),
	malformed = ProtoExpert.new("ipsp.malformed", "Malformed message", expert.group.MALFORMED, expert.severity.ERROR),
	not_opened = ProtoExpert.new("ipsp.not_opened", "The key log has another key for this session", expert.group.DECRYPTION,
		expert.severity.WARN),
}
ipsp.experts = problems

-- ---------------------------------------------------------------- ChaCha20, RFC 8439

local bits = bit32 or bit
local bxor, rotate, right, band = bits.bxor, bits.lrotate or bits.rol, bits.rshift, bits.band
local WORD = 4294967296
local all_of = table.unpack or unpack

local function quarter(s, a, b, c, d)
	s[a] = (s[a] + s[b]) % WORD
	s[d] = rotate(bxor(s[d], s[a]), 16)
	s[c] = (s[c] + s[d]) % WORD
	s[b] = rotate(bxor(s[b], s[c]), 12)
	s[a] = (s[a] + s[b]) % WORD
	s[d] = rotate(bxor(s[d], s[a]), 8)
	s[c] = (s[c] + s[d]) % WORD
	s[b] = rotate(bxor(s[b], s[c]), 7)
end

local function little(text, at)
	local a, b, c, d = text:byte(at, at + 3)
	return a + b * 256 + c * 65536 + d * 16777216
end

local function block(key, counter, nonce)
	local start = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
	for i = 0, 7 do
		start[5 + i] = little(key, 1 + 4 * i)
	end
	start[13] = counter
	for i = 0, 2 do
		start[14 + i] = little(nonce, 1 + 4 * i)
	end
	local s = { all_of(start) }
	for _ = 1, 10 do
		quarter(s, 1, 5, 9, 13)
		quarter(s, 2, 6, 10, 14)
		quarter(s, 3, 7, 11, 15)
		quarter(s, 4, 8, 12, 16)
		quarter(s, 1, 6, 11, 16)
		quarter(s, 2, 7, 12, 13)
		quarter(s, 3, 8, 9, 14)
		quarter(s, 4, 5, 10, 15)
	end
	for i = 1, 16 do
		s[i] = (s[i] + start[i]) % WORD
	end
	return s
end

-- Opens @sealed, without its tag. The first block of the key stream makes the key of the tag.
local function chacha20(key, nonce, sealed)
	local out = {}
	for at = 0, #sealed - 1, 64 do
		local stream = block(key, 1 + at / 64, nonce)
		for i = 0, math.min(64, #sealed - at) - 1 do
			local byte = band(right(stream[1 + math.floor(i / 4)], 8 * (i % 4)), 255)
			out[#out + 1] = string.char(bxor(sealed:byte(1 + at + i), byte))
		end
	end
	return table.concat(out)
end

-- ---------------------------------------------------------------- the key log

local keys = {} -- tag and address of who wrote the line -> what it sends with, what it receives with

local function unhex(text)
	return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function read_keys()
	keys = {}
	local file = ipsp.prefs.key_log ~= "" and io.open(ipsp.prefs.key_log, "r")
	if not file then
		return
	end
	for line in file:lines() do
		local tag, address, _, sends, receives = line:match("^ipsp (%x+) (%S+) (%d+) (%x+) (%x+)")
		if receives and #tag == 8 and #sends == 64 and #receives == 64 then
			keys[tag] = keys[tag] or {}
			keys[tag][address] = { sends = unhex(sends), receives = unhex(receives) }
		end
	end
	file:close()
end

local function key_of(tag, pinfo)
	local lines = keys[tag]
	if not lines then
		return nil
	end
	local mine, theirs = lines[tostring(pinfo.src)], lines[tostring(pinfo.dst)]
	return mine and mine.sends or theirs and theirs.receives
end

-- ---------------------------------------------------------------- reading

local Reader = {}
Reader.__index = Reader

local function reader(range, tree)
	return setmetatable({ range = range, tree = tree, at = 0, ok = true }, Reader)
end

function Reader:left()
	return self.range:len() - self.at
end

-- The next @n bytes; nil: they are not there, and nothing more is read.
function Reader:take(n)
	if not self.ok or n > self:left() then
		self.ok = false
		return nil
	end
	self.at = self.at + n
	return n > 0 and self.range:range(self.at - n, n) or nil
end

-- A number, or bytes, as a field of the tree.
function Reader:put(name, n)
	local range = self:take(n)
	if range then
		self.item = self.tree:add(f[name], range)
	end
	return range
end

function Reader:number(name, n)
	local range = self:put(name, n)
	return range and (n <= 4 and range:uint() or range:uint64()) or 0
end

function Reader:str8(name)
	local length = self:take(1)
	local n = length and length:uint() or 0
	if not self.ok or n > self:left() then
		self.ok = false
		return ""
	end
	local whole = self.range:range(self.at - 1, n + 1)
	local text = n > 0 and self.range:range(self.at, n):string() or ""
	self.at = self.at + n
	self.tree:add(f[name], whole, text)
	return text
end

-- ---------------------------------------------------------------- messages

local bodies = {} -- of each message: puts its fields, returns it in words

bodies[1] = function(r)
	r:put("hello.version_min", 1)
	r:put("hello.version_max", 1)
	local range = r:put("hello.capabilities", 4)
	if range then
		r.item:add(f["hello.capability.skips"], range)
		r.item:add(f["hello.capability.disk_full"], range)
		r.item:add(f["hello.capability.renews"], range)
	end
	range = r:take(16)
	if range then
		r.tree:add(f["hello.version"], range, range:stringz())
	end
	range = r:put("hello.flags", 4)
	if range then
		local said = {}
		for bit, name in ipairs(FLAGS) do
			r.item:add(f["hello.flag." .. name], range)
			if range:bitfield(32 - bit, 1) == 1 then
				said[#said + 1] = name:upper()
			end
		end
		r.item:append_text(": " .. table.concat(said, " "))
	end
	r:put("hello.books", 8)
	r:put("hello.peer_books", 8)
	local epoch = r:number("hello.epoch", 8)
	r:put("hello.agreed_epoch", 8)
	local number = r:number("hello.number", 4)
	for _, name in ipairs({ "heard", "promised", "dead_ms", "peer_dead_ms", "hello_ms", "request_timeout_ms",
		"release_timeout_ms" }) do
		r:put("hello." .. name, 4)
	end
	r:put("hello.digest", 32)
	for _, name in ipairs({ "sent", "applied", "known", "report" }) do
		r:put("hello." .. name, 8)
	end
	r:put("hello.used", 4)
	r:put("hello.spare", 4)
	return string.format("HELLO %d epoch %s", number, tostring(epoch))
end

bodies[2] = function(r)
	return "CONF_ASK from " .. r:number("conf.offset", 4)
end

local function definitions(r)
	r:put("conf.format", 1)
	for _ = 1, r:number("conf.pools", 2) do
		if not r.ok then
			return
		end
		r:str8("conf.pool.name")
		r:str8("conf.pool.group")
		r:put("conf.pool.type", 1)
		r:put("conf.pool.priority", 1)
		r:put("conf.pool.first", 16)
		r:put("conf.pool.size", 4)
		r:put("conf.pool.shift", 1)
		r:put("conf.pool.entry", 1)
		r:put("conf.pool.mask", 1)
		r:put("conf.pool.hold", 4)
		r:put("conf.pool.quarantine", 4)
		r:put("conf.pool.busyout", 1)
	end
end

bodies[3] = function(r)
	local offset = r:number("conf.offset", 4)
	local total = r:number("conf.total", 4)
	local n = r:number("conf.n", 2)
	local range = r:put("conf.bytes", n)
	if range and offset == 0 and n == total then -- all of it is in this part
		definitions(reader(range, r.item))
	end
	return string.format("CONF_PART %d+%d of %d", offset, n, total)
end

bodies[4] = function(r)
	r:put("request.id", 8)
	r:put("request.epoch", 8)
	r:put("request.select", 1)
	r:put("request.pool", 2)
	r:put("request.at_pool", 2)
	r:put("request.at_index", 4)
	local count = r:number("request.count", 4)
	local subscriber = r:str8("request.subscriber")
	r:str8("request.session")
	return subscriber ~= "" and "REQUEST " .. subscriber or "REQUEST of a block of " .. count
end

bodies[5] = function(r)
	r:put("request.id", 8)
	r:put("request.epoch", 8)
	local range = r:put("refuse.error", 4)
	return "REFUSE " .. (range and range:int() or "")
end

local sets = {}

sets[1] = function(r)
	r:put("set.start", 4)
	r:put("set.count", 4)
end
sets[2] = function(r)
	r:put("set.start", 4)
	r:put("set.bits", r:number("set.n", 2))
end
sets[3] = function(r)
	r:put("set.index", 4)
	r:put("set.use", 1)
	r:put("set.left", 4)
	r:str8("set.subscriber")
end
sets[4] = function(r)
	r:put("set.index", 4)
	r:str8("set.subscriber")
end

bodies[6] = function(r)
	r:put("stream", 4)
	local number = r:number("item.number", 8)
	local kind = r:number("item.type", 1)
	local flags = r:put("item.flags", 1)
	if flags and (kind == 1 or kind == 2) then
		r.item:add(f[kind == 1 and "item.flag.first" or "item.flag.end"], flags)
	end
	r:put("item.request", 8)
	r:put("item.pool", 2)
	local form = r:number("item.form", 1)
	local range = r:put("item.set", r:number("item.bytes", 2))
	if range and ITEMS[kind] and sets[form] then
		local set = reader(range, r.item)
		while set.ok and set:left() > 0 do
			sets[form](set)
		end
		r.ok = r.ok and set.ok
	end
	return string.format("%s %s", ITEMS[kind] or "ITEM of type " .. kind, tostring(number))
end

bodies[7] = function(r)
	r:put("stream", 4)
	return "ACK " .. tostring(r:number("ack.number", 8))
end

bodies[8] = function(r)
	return "TAKEOVER epoch " .. tostring(r:number("request.epoch", 8))
end

bodies[9] = function(r)
	r:put("request.id", 8)
	return "CANCEL"
end

bodies[10] = function(r)
	local flags = r:put("renew.flags", 1)
	if flags then
		r.item:add(f["renew.has"], flags)
	end
	r:put("renew.public", 32)
	return "RENEW"
end

-- Is it a row of messages that fills the range? What a wrong key gives is none.
local function is_row(range)
	local at, n = 0, range:len()
	while at < n do
		if at + 3 > n then
			return false
		end
		at = at + 3 + range:range(at + 1, 2):uint()
	end
	return at == n
end

local function messages(range, tree, said)
	local at = 0
	while at < range:len() do
		local kind, length = range:range(at, 1):uint(), range:range(at + 1, 2):uint()
		local sub = tree:add(ipsp, range:range(at, 3 + length), MESSAGES[kind] or "Unknown message")
		sub:add(f.message, range:range(at, 1))
		sub:add(f.length, range:range(at + 1, 2))
		if bodies[kind] and length > 0 then
			local r = reader(range:range(at + 3, length), sub)
			local words = bodies[kind](r)
			said[#said + 1] = words
			sub:set_text(words)
			if not r.ok then
				sub:add_proto_expert_info(problems.malformed)
			elseif r:left() > 0 then
				r:put("rest", r:left())
			end
		end
		at = at + 3 + length
	end
end

-- ---------------------------------------------------------------- datagrams

local function shake(buffer, tree, said)
	tree:add(f.speaks, buffer(8, 8))
	tree:add(f.nonce, buffer(16, 32))
	tree:add(f.public, buffer(48, 32))
	tree:add(f.echo, buffer(80, 32))
	tree:add(f.key_id, buffer(112, 8))
	tree:add(f.fingerprint, buffer(112, 4), buffer(112, 4):bytes():tohex(true))
	tree:add(f.mac, buffer(120, 32))
	said[#said + 1] = "SHAKE with key " .. buffer(112, 4):bytes():tohex(true)
end

local function sealed(buffer, pinfo, tree, said)
	local n = buffer:len() - 32
	tree:add(f.sequence, buffer(8, 8))
	if n > 0 then
		tree:add(f.sealed, buffer(16, n))
	end
	tree:add(f.tag, buffer(16 + n, 16))
	said[#said + 1] = "SEALED " .. tostring(buffer(8, 8):uint64())
	if n == 0 then
		return
	end
	local key = key_of(buffer(4, 4):bytes():tohex(true), pinfo)
	if not key then
		return
	end
	local plain = chacha20(key, "\0\0\0\0" .. buffer(8, 8):raw(), buffer(16, n):raw())
	local range = ByteArray.new(plain, true):tvb("Opened")
	if is_row(range()) then
		messages(range(), tree, said)
	else
		tree:add_proto_expert_info(problems.not_opened)
	end
end

-- The same number, one higher, as bytes.
local function after(number)
	local i = #number
	while i > 1 and number:byte(i) == 255 do
		i = i - 1
	end
	return number:sub(1, i - 1) .. string.char((number:byte(i) + 1) % 256) .. ("\0"):rep(#number - i)
end

-- How long the datagram at @at is. On the host that sends, and on a loopback, a capture has rows of them in one,
-- as the kernel takes them from ipspd: behind a SHAKE, and where the header of the next number stands.
local function length_at(buffer, at)
	local left = buffer:len() - at
	local kind = left >= 16 and buffer(at + 3, 1):uint()
	if kind == 1 and left > 152 and left - 152 >= 16 and buffer(at + 152, 2):uint() == 0x4950 then
		return 152
	elseif kind == 2 and left >= 64 then
		local all = buffer(at, left):raw()
		local next_one = all:find(all:sub(1, 8) .. after(all:sub(9, 16)), 33, true)
		return next_one and next_one - 1 or left
	end
	return left
end

local function datagram(buffer, pinfo, root, said)
	local tree = root:add(ipsp, buffer())
	if buffer:len() < 16 then
		tree:add_proto_expert_info(problems.short)
		return
	end
	local kind = buffer(3, 1):uint()
	tree:add(f.magic, buffer(0, 2))
	tree:add(f.version, buffer(2, 1))
	tree:add(f.kind, buffer(3, 1))
	tree:add(f.session, buffer(4, 4))
	if (kind == 1 and buffer:len() ~= 152) or (kind == 2 and buffer:len() < 32) then
		tree:add_proto_expert_info(problems.short)
	elseif kind == 1 then
		shake(buffer, tree, said)
	elseif kind == 2 then
		sealed(buffer, pinfo, tree, said)
	end
end

function ipsp.dissector(buffer, pinfo, root)
	if buffer:len() < 16 or buffer(0, 2):uint() ~= 0x4950 then
		return 0
	end
	local at, said = 0, {}
	pinfo.cols.protocol = "IPSP"
	while at < buffer:len() do
		local n = length_at(buffer, at)
		datagram(buffer(at, n):tvb(), pinfo, root, said)
		at = at + n
	end
	pinfo.cols.info = table.concat(said, ", ")
	return buffer:len()
end

local port

local function listen()
	local udp = DissectorTable.get("udp.port")
	if port then
		udp:remove(port, ipsp)
	end
	port = ipsp.prefs.port
	udp:add(port, ipsp)
	read_keys()
end

ipsp.init = read_keys
ipsp.prefs_changed = listen
listen()
