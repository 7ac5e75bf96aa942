//+------------------------------------------------------------------+
//|                                                   MsgPackMap.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The map of a message: values by their key. See MsgPack.mqh for the rules.
// May touch: MsgPackReader.mqh.

#ifndef BRIDGE_WIRE_MSGPACKMAP_MQH
#define BRIDGE_WIRE_MSGPACKMAP_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/MsgPackReader.mqh>

//+------------------------------------------------------------------+
//| The map of a message: values by their key.                       |
//+------------------------------------------------------------------+
class CMsgPackMap
  {
private:
   uchar             m_data[];
   string            m_keys[];
   int               m_places[];

public:
   bool              Attach(const uchar &map[]);          // false: these bytes are no map
   int               Size(void) const { return(ArraySize(m_keys)); }
   string            Key(const int index) const;
   bool              Has(const string key) const { return(Find(key)>=0); }
   ENUM_MSGPACK_KIND Kind(const string key);              // MSGPACK_INVALID: no such key
   bool              GetText(const string key,string &value);
   bool              GetInteger(const string key,long &value);
   bool              GetUnsigned(const string key,ulong &value);
   bool              GetDouble(const string key,double &value);
   bool              GetBool(const string key,bool &value);
   bool              GetRaw(const string key,uchar &value[]);    // the bytes of the value

private:
   int               Find(const string key) const;
   bool              Token(const string key,SMsgPackToken &token);
  };

bool CMsgPackMap::Attach(const uchar &map[])
  {
   ArrayFree(m_keys);
   ArrayFree(m_places);
   ArrayFree(m_data);
   CMsgPackReader reader;
   SMsgPackToken token={};
   uchar checked[];
   string problem="";
   reader.Attach(map);
   reader.Map(checked,MSGPACK_MAP_MAX,MSGPACK_DEPTH_MAX-1,"map");
   if(!reader.Finish("map",problem))
      return(false);
   if(!reader.Seek(0) || !reader.Peek(token) || !reader.Seek(token.next))
      return(false);
   int count=token.count;
   int size=ArraySize(checked);
   if(ArrayResize(m_keys,count)!=count || ArrayResize(m_places,count)!=count ||
      ArrayResize(m_data,size)!=size || ArrayCopy(m_data,checked)!=size)
     {
      ArrayFree(m_keys);
      ArrayFree(m_places);
      return(false);
     }
   for(int i=0; i<count; i++)
     {
      m_places[i]=0;
      if(!reader.Peek(token))
         return(false);
      m_keys[i]=reader.TextAt(token);
      m_places[i]=token.next;
      if(!reader.Seek(token.next) || !reader.Skip(0))
         return(false);
     }
   return(true);
  }

string CMsgPackMap::Key(const int index) const
  {
   return(index>=0 && index<ArraySize(m_keys) ? m_keys[index] : "");
  }

int CMsgPackMap::Find(const string key) const
  {
   for(int i=0; i<ArraySize(m_keys); i++)
      if(m_keys[i]==key)
         return(i);
   return(-1);
  }

bool CMsgPackMap::Token(const string key,SMsgPackToken &token)
  {
   int index=Find(key);
   if(index<0)
      return(false);
   CMsgPackReader reader;
   reader.Attach(m_data);
   return(reader.Seek(m_places[index]) && reader.Peek(token));
  }

ENUM_MSGPACK_KIND CMsgPackMap::Kind(const string key)
  {
   SMsgPackToken token={};
   return(Token(key,token) ? token.kind : MSGPACK_INVALID);
  }

bool CMsgPackMap::GetText(const string key,string &value)
  {
   SMsgPackToken token={};
   if(!Token(key,token) || token.kind!=MSGPACK_TEXT)
      return(false);
   value=Utf8ToText(m_data,token.begin,token.count);
   return(true);
  }

bool CMsgPackMap::GetInteger(const string key,long &value)
  {
   SMsgPackToken token={};
   if(!Token(key,token))
      return(false);
   if(token.kind==MSGPACK_SIGNED)
      value=token.i;
   else
      if(token.kind==MSGPACK_UNSIGNED && token.u<=(ulong)LONG_MAX)
         value=(long)token.u;
      else
         return(false);
   return(true);
  }

bool CMsgPackMap::GetUnsigned(const string key,ulong &value)
  {
   SMsgPackToken token={};
   if(!Token(key,token) || token.kind!=MSGPACK_UNSIGNED)
      return(false);
   value=token.u;
   return(true);
  }

bool CMsgPackMap::GetDouble(const string key,double &value)
  {
   SMsgPackToken token={};
   if(!Token(key,token))
      return(false);
   if(token.kind==MSGPACK_DOUBLE)
      value=token.d;
   else
      if(token.kind==MSGPACK_UNSIGNED)
         value=(double)token.u;
      else
         if(token.kind==MSGPACK_SIGNED)
            value=(double)token.i;
         else
            return(false);
   return(true);
  }

bool CMsgPackMap::GetBool(const string key,bool &value)
  {
   SMsgPackToken token={};
   if(!Token(key,token) || token.kind!=MSGPACK_BOOL)
      return(false);
   value=token.flag;
   return(true);
  }

bool CMsgPackMap::GetRaw(const string key,uchar &value[])
  {
   const int index=Find(key);
   if(index<0)
      return(false);
   CMsgPackReader reader;
   reader.Attach(m_data);
   if(!reader.Seek(m_places[index]) || !reader.Skip(0))
      return(false);
   const int size=reader.Position()-m_places[index];
   return(ArrayResize(value,size)==size && ArrayCopy(value,m_data,0,m_places[index],size)==size);
  }

#endif // BRIDGE_WIRE_MSGPACKMAP_MQH
